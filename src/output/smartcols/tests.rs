//! Expected output is that of libsmartcols 2.42.4, unless a test says otherwise.

use std::borrow::Cow;

use super::*;

const LAYOUT: Layout = Layout {
    form: Form::Human,
    headings: true,
    tree: None,
    unicode: true,
    width: None,
    truncate: true,
    painter: Painter { colour: false },
    paint: |_, _, text| Cow::Borrowed(text),
};
const NS: Column = Column { align: Align::Right, json: Json::Number, ..plain("NS", Align::Left) };
const TYPE: Column = plain("TYPE", Align::Left);
const NSFS: Column = Column { wrap: true, ..plain("NSFS", Align::Left) };
const COMMAND: Column = Column { truncate: true, ..plain("COMMAND", Align::Left) };

fn row(parent: Option<usize>, cells: &[&str]) -> Row {
    Row { cells: cells.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect(), parent }
}

fn forest() -> Vec<Row> {
    vec![
        row(None, &["11", "a\nbb", "x y"]),
        row(Some(0), &["12", "c\nd", ""]),
        row(Some(1), &["13", "", "z"]),
        row(Some(0), &["14", "e\nf", "w"]),
        row(None, &["9", "", "long command"]),
    ]
}

fn printed(columns: &[&Column], rows: &[Row], layout: Layout) -> String {
    let mut out = Out::stdout();
    print(&mut out, columns, rows, &layout);
    String::from_utf8(std::mem::take(&mut out.buffer)).expect("text")
}

fn escaped(form: Form, unicode: bool, bytes: &[u8]) -> String {
    let rows = [Row { cells: vec![Some(cell(bytes))], parent: None }];
    printed(&[&TYPE], &rows, Layout { form, unicode, headings: false, ..LAYOUT })
}

#[test]
fn columns_are_as_wide_as_needed_and_the_last_is_not_padded() {
    let rows = [row(None, &["1", "", "x"]), row(None, &["1234", "yyyyy", ""])];
    assert_eq!(
        printed(&[&NS, &TYPE, &COMMAND], &rows, LAYOUT),
        "  NS TYPE  COMMAND\n   1       x\n1234 yyyyy \n"
    );
    let bare = Layout { headings: false, ..LAYOUT };
    assert_eq!(printed(&[&TYPE, &NS], &[row(None, &["", "1"])], bare), " 1\n");
    assert_eq!(printed(&[&TYPE, &NS], &[row(None, &["a", ""]), row(None, &["b", "22"])], bare), "a \nb 22\n");
}

#[test]
fn a_cell_of_many_lines_takes_linear_time() {
    let many = vec!["x"; 200_000].join("\n");
    let mut out = Out::kept();
    print(&mut out, &[&NS, &NSFS], &[row(None, &["1", &many])], &LAYOUT);
    assert_eq!(out.into_bytes().split(|&b| b == b'\n').count(), 200_002);
}

#[test]
fn an_empty_table_has_no_headings() {
    assert_eq!(printed(&[&NS], &[], LAYOUT), "");
    assert_eq!(printed(&[&NS], &[], Layout { form: Form::Raw, ..LAYOUT }), "");
    let json = Layout { form: Form::Json("namespaces"), ..LAYOUT };
    assert_eq!(printed(&[&NS], &[], json), "{\n   \"namespaces\": [\n\n   ]\n}\n");
}

#[test]
fn branches_and_cells_of_several_lines() {
    let tree = Layout { tree: Some(0), ..LAYOUT };
    assert_eq!(
        printed(&[&NS, &NSFS, &COMMAND], &forest(), tree),
        "NS     NSFS COMMAND\n\
         11     a    x y\n\
         │      bb   \n\
         ├─12   c    \n\
         │ │    d    \n\
         │ └─13      z\n\
         └─14   e    w\n       f    \n\
         9           long command\n"
    );
    let ascii = Layout { unicode: false, headings: false, ..tree };
    let rows = [row(None, &["1"]), row(Some(0), &["2"]), row(Some(1), &["3"]), row(Some(0), &["4"])];
    assert_eq!(printed(&[&NS], &rows, ascii), "1\n|-2\n| `-3\n`-4\n");
}

#[test]
fn the_lines_of_a_tree_in_the_last_column_keep_their_blanks() {
    let rows = [row(None, &["a\nb", "x"]), row(Some(0), &["c\nd", "y"])];
    let layout = Layout { tree: Some(1), headings: false, ..LAYOUT };
    assert_eq!(printed(&[&NSFS, &COMMAND], &rows, layout), "a x\nb │ \nc └─y\nd   \n");
}

#[test]
fn without_a_tree_parents_do_not_count() {
    let rows = [row(Some(1), &["1"]), row(None, &["2"])];
    assert_eq!(printed(&[&NS], &rows, LAYOUT), "NS\n 1\n 2\n");
    assert_eq!(printed(&[&NS], &rows, Layout { tree: Some(0), ..LAYOUT }), "NS\n2\n└─1\n");
}

#[test]
fn raw_escapes_everything_but_graphic_ascii() {
    let layout = Layout { form: Form::Raw, tree: Some(0), ..LAYOUT };
    let rows = [row(None, &["1", "a b", ""]), row(Some(0), &["2", "", "\\é\t"])];
    assert_eq!(
        printed(&[&NS, &TYPE, &COMMAND], &rows, layout),
        "NS TYPE COMMAND\n1 a\\x20b \n\\xe2\\x94\\x94\\xe2\\x94\\x802  \\x5c\\xc3\\xa9\\x09\n"
    );
}

#[test]
fn json() {
    let rows = [row(None, &["1", "m\"\\"]), row(Some(0), &["2", ""]), row(None, &["3", "é\x1b\x08"])];
    let layout = Layout { form: Form::Json("t"), tree: Some(0), ..LAYOUT };
    let expected = r#"{
   "t": [
      {
         "ns": 1,
         "type": "m\"\\",
         "children": [
            {
               "ns": 2,
               "type": null
            }
         ]
      },{
         "ns": 3,
         "type": "é\u001b\b"
      }
   ]
}
"#;
    assert_eq!(printed(&[&NS, &TYPE], &rows, layout), expected);
}

#[test]
fn unsafe_characters_are_escaped_byte_by_byte() {
    assert_eq!(
        escaped(Form::Human, true, b"a\x1b\t\x7f\xff\\x41 \\y"),
        "a\\x1b\\x09\\x7f\\xff\\x5cx41 \\y\n"
    );
    assert_eq!(escaped(Form::Human, true, "é\u{85}".as_bytes()), "é\\xc2\\x85\n");
    assert_eq!(escaped(Form::Human, false, "é".as_bytes()), "\\xc3\\xa9\n");
    assert_eq!(escaped(Form::Raw, true, b"\xff\\ "), "\\xff\\x5c\\x20\n");
}

/// libsmartcols does not escape these.
#[test]
fn ctrbox_also_escapes_direction_characters_and_invalid_utf8() {
    assert_eq!(escaped(Form::Human, true, "a\u{202e}b".as_bytes()), "a\\xe2\\x80\\xaeb\n");
    assert!(escaped(Form::Json("t"), true, b"\xff\xe2\x80\xae").contains(r#""type": "\\xff\u202e""#));
    assert_eq!(escaped(Form::Human, true, "\u{10ffff}".as_bytes()), "\\xf4\\x8f\\xbf\\xbf\n");
}

#[test]
fn a_narrow_terminal_cuts_but_never_below_the_heading() {
    let rows = [row(None, &["1", "unshare -fp sleep"]), row(Some(0), &["2", "sleep 3000"])];
    let on = |width, headings| {
        let layout = Layout { width: Some(width), tree: Some(1), headings, ..LAYOUT };
        printed(&[&NS, &COMMAND], &rows, layout)
    };
    assert_eq!(on(15, true), "NS COMMAND\n 1 unshare -fp \n 2 └─sleep 3000\n");
    assert_eq!(on(5, true), "NS COMMAND\n 1 unshare\n 2 └─sleep\n");
    assert_eq!(on(3, false), "1 u\n2 └\n");
}

#[test]
fn width_hints_are_removed_only_from_columns_with_short_cells() {
    let columns: [&Column; 3] = [&Column { hint: 10, ..NS }, &Column { hint: 5, ..TYPE }, &COMMAND];
    let rows = [row(None, &["1", "mnt", "12345678"])];
    let on = |width, headings| printed(&columns, &rows, Layout { width, headings, ..LAYOUT });
    assert_eq!(on(Some(80), true), "        NS TYPE  COMMAND\n         1 mnt   12345678\n");
    assert_eq!(on(Some(20), true), "   NS TYPE  COMMAND\n    1 mnt   12345678\n");
    assert_eq!(on(Some(1), true), "NS TYPE COMMAND\n 1 mnt  1234567\n");
    assert_eq!(on(None, true), "NS TYPE COMMAND\n 1 mnt  12345678\n");
    assert_eq!(on(None, false), "1 mnt   12345678\n");
}

/// The output of `lsns --list-columns`.
#[test]
fn the_list_of_columns() {
    let columns = [&Column { help: "namespace identifier", ..NS }, &Column { help: "its kind", ..TYPE }];
    let list = |form| {
        let mut out = Out::stdout();
        print_columns(&mut out, &columns, form);
        String::from_utf8(std::mem::take(&mut out.buffer)).expect("text")
    };
    assert_eq!(list(Form::Human), "  NS <integer> namespace identifier\nTYPE <string>  its kind\n");
    assert_eq!(list(Form::Raw), "NS <integer> namespace\\x20identifier\nTYPE <string> its\\x20kind\n");
    let json = list(Form::Json("lsns-columns"));
    let start = "{\n   \"lsns-columns\": [\n      {\n         \"holder\": \"NS\",\n         \"type\": \"<integer>\",\n";
    assert!(json.starts_with(start), "{json}");
}

/// Not the output of libsmartcols, which draws every level and never sees a cycle.
#[test]
fn ctrbox_keeps_all_rows_of_cycles_and_takes_linear_time_for_chains() {
    let cycle = [row(Some(1), &["1"]), row(Some(0), &["2"]), row(Some(2), &["3"])];
    let tree = Layout { tree: Some(0), headings: false, ..LAYOUT };
    assert_eq!(printed(&[&NS], &cycle, tree), "3\n1\n└─2\n");
    let chain: Vec<Row> = (0..2000_usize).map(|i| row(i.checked_sub(1), &["1"])).collect();
    let rows = Walk::new(&chain, true);
    let mut branches = rows.branches(true);
    for node in &rows.nodes {
        branches.enter(node);
        assert_eq!(branches.head().chars().count(), walk::width(node.depth));
    }
    assert!(branches.head().ends_with("[+1742]└─"));
}
