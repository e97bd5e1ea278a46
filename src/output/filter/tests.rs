//! Expressions, and the results of libsmartcols 2.42.4.

use super::*;

const COLUMNS: [(&str, bool); 2] = [("N", true), ("S", false)];
const NUMBERS: [Option<u64>; 3] = [None, Some(0), Some(2)];
const TEXTS: [Option<&str>; 4] = [None, Some(""), Some("2"), Some(" net ")];

/// By number, and for each number by text. 1 and 0: matches or not; E and R: EINVAL and ERANGE.
const RESULTS: &[(&str, &str)] = &[
    ("N", "0000 0000 1111"),
    ("S", "0011 0011 0011"),
    ("not N", "1111 1111 0000"),
    ("not S", "1100 1100 1100"),
    ("not not S", "0011 0011 0011"),
    ("N == 2", "0000 0000 1111"),
    (r#"N eq "2""#, "0000 0000 1111"),
    ("N != 2", "0000 1111 0000"),
    ("N < 2", "0000 1111 0000"),
    ("N >= 0", "0000 1111 1111"),
    (r#"N == """#, "0000 0000 0000"),
    (r#"N == "0""#, "1111 1111 0000"),
    ("N == TRUE", "0000 0000 1111"),
    ("N == FALSE", "1111 1111 0000"),
    ("N == 0.0", "1111 1111 0000"),
    ("N < 2.5", "1111 1111 1111"),
    ("N == N", "0000 1111 1111"),
    (r#"N =~ "0""#, "1111 1111 0000"),
    (r#"N !~ "^2$""#, "1111 1111 0000"),
    (r#"S == "net""#, "0001 0001 0001"),
    (r#"S != "net""#, "1110 1110 1110"),
    (r#"S == " net ""#, "0001 0001 0001"),
    (r#"S < """#, "1000 1000 1000"),
    (r#"S <= """#, "1100 1100 1100"),
    (r#"S > """#, "0011 0011 0011"),
    ("S == S", "1111 1111 1111"),
    ("S == 2", "0E1E 0E1E 0E1E"),
    ("S == 2.0", "0E1E 0E1E 0E1E"),
    ("S == TRUE", "0000 0000 0000"),
    ("S != TRUE", "0111 0111 0111"),
    (r#"S =~ "^n.t$""#, "0001 0001 0001"),
    (r#"S =~ " ^net ""#, "0001 0001 0001"),
    (r#"S !~ "t""#, "1110 1110 1110"),
    (r#"S =~ """#, "1111 1111 1111"),
    (r#"S =~ ("2|e")"#, "0011 0011 0011"),
    ("N == S", "0E0E 0E0E 0E1E"),
    ("S == N", "0000 0000 0010"),
    ("S < N", "1100 1100 1100"),
    ("n == 2", "0000 0000 1111"),
    ("s LT 'net'", "1110 1110 1110"),
    ("N==2and S", "0000 0000 0011"),
    ("N && S", "0000 0000 0011"),
    ("N || S", "0011 0011 1111"),
    ("TRUE or TRUE and FALSE", "0000 0000 0000"),
    ("FALSE and TRUE or TRUE", "1111 1111 1111"),
    ("N == 2 and S == 2", "0000 0000 0E1E"),
    ("N == 0 or S == 2", "0E1E 1111 0E1E"),
    ("not N == 2", "1111 1111 0000"),
    ("not (N == 2)", "1111 1111 0000"),
    ("N == 2 == S", "0111 0111 0000"),
    (r#"(N == 2) == "true""#, "0000 0000 1111"),
    (r#"not N =~ "2""#, "EEEE EEEE EEEE"),
    (r#"not (N =~ "2")"#, "1111 1111 0000"),
    ("N === 2", "0000 0000 1111"),
    ("N > -1", "0000 0000 1111"),
    ("N !== 2", "0000 1111 0000"),
    ("TRUE;", "1111 1111 1111"),
    (r#""N"#, "0000 0000 1111"),
    (r#"N ""#, "0000 0000 1111"),
    ("1 < 1.5", "1111 1111 1111"),
    ("1.5 < 1", "0000 0000 0000"),
    ("2 < 3 == 1", "1111 1111 1111"),
    ("010 == 10", "1111 1111 1111"),
    ("1K == 1024", "1111 1111 1111"),
    ("1KiB == 1024", "1111 1111 1111"),
    ("0Y", "0000 0000 0000"),
    ("99999999999999999999 == 18446744073709551615", "1111 1111 1111"),
    (".5 == 5", "1111 1111 1111"),
    (r#""a" == 1"#, "0000 0000 0000"),
    (r#"1 == "a""#, "EEEE EEEE EEEE"),
    (r#"1 == " +1 ""#, "1111 1111 1111"),
    (r#"0 == "-0""#, "1111 1111 1111"),
    (r#"1 == "-1""#, "RRRR RRRR RRRR"),
    (r#"1 == "99999999999999999999""#, "RRRR RRRR RRRR"),
    (r#"1.5 == "1.5""#, "1111 1111 1111"),
    (r#""1.5" == 1.50"#, "1111 1111 1111"),
    (r#""1e+07" == 10000000.0"#, "1111 1111 1111"),
    (r#""0.0001" == 0.0001"#, "1111 1111 1111"),
    (r#"1.5 < "1e99999""#, "RRRR RRRR RRRR"),
    (r#"1.5 == "x""#, "EEEE EEEE EEEE"),
    (r#"1.5 < "inf""#, "1111 1111 1111"),
    (r#"1.5 != "nan""#, "1111 1111 1111"),
    ("TRUE == 5", "1111 1111 1111"),
    ("5 == TRUE", "0000 0000 0000"),
    (r#""true" == TRUE"#, "1111 1111 1111"),
    (r#"TRUE == "yes x""#, "1111 1111 1111"),
    (r#"TRUE == "on""#, "0000 0000 0000"),
    (r#"FALSE and 1 == "x""#, "0000 0000 0000"),
    (r#"TRUE or 1 == "x""#, "1111 1111 1111"),
    (r#"1 == "x" or TRUE"#, "EEEE EEEE EEEE"),
    (r#"1 =~ "1""#, "EEEE EEEE EEEE"),
    (r#""a'b" == 'a'"#, "0000 0000 0000"),
    (r#""é" == 'é'"#, "1111 1111 1111"),
];

/// The message, or the first unknown column.
const MESSAGES: &[(&str, &str)] = &[
    ("N = = 2", "syntax error, unexpected NUMBER, expecting end of file"),
    (r#""a"b""#, "syntax error, unexpected HOLDER, expecting end of file"),
    ("1k", "syntax error, unexpected HOLDER, expecting end of file"),
    ("1Y", r#""1Y" token error: Numerical result out of range"#),
    ("16E == 1", r#""16E" token error: Numerical result out of range"#),
    ("1.5K", "syntax error, unexpected HOLDER, expecting end of file"),
    ("0x10", "syntax error, unexpected HOLDER, expecting end of file"),
    ("1e3", "syntax error, unexpected HOLDER, expecting end of file"),
    ("foo", "unknown column: foo"),
    ("True", "unknown column: True"),
    ("foo and bar", "unknown column: foo"),
    ("N.x == 1", "unknown column: N.x"),
    ("N/S", "unknown column: N/S"),
    ("And", "unknown column: And"),
    ("N Eq 2", "syntax error, unexpected HOLDER, expecting end of file"),
    ("TRUEx", "unknown column: TRUEx"),
    ("é", "syntax error, unexpected end of file"),
    (" ", "syntax error, unexpected end of file"),
    ("(", "syntax error, unexpected end of file"),
    (")", "syntax error, unexpected ')'"),
    ("()", "syntax error, unexpected ')'"),
    ("N ==", "syntax error, unexpected end of file"),
    ("N == 1 1", "syntax error, unexpected NUMBER, expecting end of file"),
    ("N == 1 1.5", "syntax error, unexpected FLOAT, expecting end of file"),
    (r#"N "x""#, "syntax error, unexpected STRING, expecting end of file"),
    ("N foo", "syntax error, unexpected HOLDER, expecting end of file"),
    ("N TRUE", "syntax error, unexpected TRUE, expecting end of file"),
    ("N false", "syntax error, unexpected FALSE, expecting end of file"),
    ("N (", "syntax error, unexpected '(', expecting end of file"),
    ("N )", "syntax error, unexpected ')', expecting end of file"),
    ("N !", "syntax error, unexpected NEG, expecting end of file"),
    ("N 1Y", "syntax error, unexpected INVALID_NUMBER, expecting end of file"),
    ("N '", "syntax error, unexpected invalid token, expecting end of file"),
    ("'x", "syntax error, unexpected invalid token"),
    (r#""x'"#, "syntax error, unexpected invalid token, expecting end of file"),
    ("(N", "syntax error, unexpected end of file"),
    ("(N 1", "syntax error, unexpected NUMBER"),
    ("(N '", "syntax error, unexpected invalid token"),
    ("and", "syntax error, unexpected AND"),
    ("N or and", "syntax error, unexpected AND"),
    ("N ==)", "syntax error, unexpected ')'"),
    ("==", "syntax error, unexpected EQ"),
    ("!=1", "syntax error, unexpected NE"),
    ("lt", "syntax error, unexpected LT"),
    ("<=", "syntax error, unexpected LE"),
    ("gt", "syntax error, unexpected GT"),
    ("ge", "syntax error, unexpected GE"),
    ("!~", "syntax error, unexpected NREG"),
    ("! =~", "syntax error, unexpected REG"),
    ("N <> 2", "syntax error, unexpected GT"),
    ("N, S", "syntax error, unexpected HOLDER, expecting end of file"),
    (r#"S =~ "(""#, r"Unmatched ( or \("),
    (r#"S =~ "[""#, "Invalid regular expression"),
    (r#"S =~ "a{2""#, r"Unmatched \{"),
    (r#"S =~ "*""#, "Invalid preceding regular expression"),
    (r#"S =~ "(" 1 1"#, r"Unmatched ( or \("),
    (r#"S =~ "a" "(""#, "syntax error, unexpected STRING, expecting end of file"),
];

fn parsed(expression: &str) -> Filter {
    Filter::parse(expression, &COLUMNS).unwrap_or_else(|why| panic!("{expression}: {why:?}"))
}

/// The result for the row.
fn result(filter: &Filter, number: Option<u64>, text: Option<&str>) -> char {
    let value = |name: &str| match name {
        "N" => number.map_or(Value::None, Value::Number),
        _ => text.map_or(Value::None, |text| Value::Text(text.into())),
    };
    match filter.evaluate(&value) {
        Ok(true) => '1',
        Ok(false) => '0',
        Err(Errno::ERANGE) => 'R',
        Err(_) => 'E',
    }
}

fn messages(expression: &str) -> Vec<String> {
    Filter::parse(expression, &COLUMNS).expect_err(expression)
}

fn complaint(expression: &str) -> String {
    let message = messages(expression).remove(0);
    let start = format!("failed to parse \"{expression}\": ");
    message.strip_prefix(&start).unwrap_or(&message).to_owned()
}

#[test]
fn results() {
    for (expression, expected) in RESULTS {
        let filter = parsed(expression);
        let of_number = |number| TEXTS.iter().map(|text| result(&filter, number, *text)).collect::<String>();
        let results = NUMBERS.map(of_number).join(" ");
        assert_eq!(results, *expected, "{expression}");
    }
}

#[test]
fn complaints() {
    for (expression, expected) in MESSAGES {
        assert_eq!(complaint(expression), *expected, "{expression}");
    }
}

/// For these util-linux prints "(null)", crashes, or fails at the first row.
#[test]
fn a_pattern_is_a_string() {
    for side in ["N", "S", "1", "(1.5)", "TRUE", "not \"a\"", "(\"a\" == \"a\")"] {
        let expected = "the right side of =~ and !~ must be a string";
        assert_eq!(complaint(&format!("S =~ {side}")), expected);
        assert_eq!(complaint(&format!("S !~ {side} 1")), expected);
    }
}

#[test]
fn whole_messages() {
    let foo = ["unknown column: foo", "failed to initialize filter"];
    assert_eq!(messages("N and foo == 1 and bar"), foo);
    assert_eq!(
        messages("N 1"),
        ["failed to parse \"N 1\": syntax error, unexpected NUMBER, expecting end of file"]
    );
}

#[test]
fn columns_by_the_names_of_the_table() {
    assert_eq!(parsed("s == 'a' and N or S and s").columns(), ["S", "N"]);
    assert!(parsed("1").columns().is_empty());
}

#[test]
fn an_empty_expression_matches_everything() {
    assert_eq!(result(&parsed(""), None, None), '1');
}

#[test]
fn incomparable_values_do_not_match() {
    assert!(!parsed("S == 1").evaluate(&|_| Value::Text("x".into())).unwrap_or(false));
    assert!(parsed("S == 1").evaluate(&|_| Value::Text("1".into())).unwrap_or(false));
}

#[test]
fn the_limit_on_depth_is_that_of_util_linux() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(result(&parsed(&nested(9996)), None, None), '1');
    assert_eq!(complaint(&nested(9997)), "memory exhausted");
    assert_eq!(result(&parsed(&format!("{}1", "!".repeat(9997))), None, None), '0');
    assert_eq!(complaint(&format!("{}1", "!".repeat(9998))), "memory exhausted");
    assert_eq!(complaint(&"1 == (".repeat(1_000_000)), "memory exhausted");
}

/// A chain of operators has no depth; util-linux's stack overflows here.
#[test]
fn any_length() {
    assert_eq!(result(&parsed(&format!("{}1", "1 == ".repeat(200_000))), None, None), '1');
    assert_eq!(result(&parsed(&format!("{}1", "1 and ".repeat(200_000))), None, None), '1');
    assert_eq!(result(&parsed(&format!("\"{}\"", "x".repeat(1_000_000))), None, None), '1');
}

#[test]
fn multibyte_characters_in_patterns() {
    crate::sys::utf8_letters();
    assert_eq!(result(&parsed("\"é\" =~ '^.$'"), None, None), '1');
}

#[test]
fn the_grammar_on_the_pages_has_every_operator() {
    let grammar = include_str!("../../../tests/docs/filter.txt");
    let words: Vec<&str> =
        grammar.split(|letter: char| letter.is_whitespace() || "`;,".contains(letter)).collect();
    let names = super::lex::WORDS.iter().map(|(small, ..)| *small);
    for operator in names.chain(super::lex::SIGNS.iter().map(|(sign, _)| *sign)) {
        assert!(words.contains(&operator), "{operator}");
    }
}

#[test]
fn a_column_is_read_once_a_row() {
    let terms: Vec<String> = (0..900).map(|term| format!("S == \"{term}\"")).collect();
    let filter = parsed(&terms.join(" or "));
    let reads = std::cell::Cell::new(0);
    let value = |_: &str| {
        reads.set(reads.get() + 1);
        Value::Text("x".into())
    };
    assert_eq!((filter.evaluate(&value), reads.get()), (Ok(false), 1));
}

#[test]
fn regular_expressions_with_too_many_repetitions_are_refused() {
    let why = "a regular expression has too many repetitions";
    assert_eq!(complaint(r#"S =~ "((((a?){9}){9}){9}){9}""#), why);
    let one = r#"S =~ "(a?){150}""#;
    assert!(Filter::parse(one, &COLUMNS).is_ok());
    assert_eq!(complaint(&[one; 9].join(" or ")), why);
}
