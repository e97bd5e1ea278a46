use super::*;

#[test]
fn numbers_and_their_widths() {
    for number in [0, 7, 10, -1, -10, i64::MAX, i64::MIN] {
        assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
        assert_eq!(Value::Number(number).width(), number.to_string().len());
    }
}

struct Two;

impl Source for Two {
    fn rows(&self) -> usize {
        2
    }

    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        match (row, column) {
            (0, 0) => Value::Number(7),
            (1, 0) => Value::None,
            (0, 1) => Value::Bytes(b"a b\x1b\xff"[..].into()),
            (1, 1) => Value::text("日本"),
            (0, _) => Value::Flag(true),
            (_, _) => Value::List(vec!["x".to_owned(), "y".to_owned()]),
        }
    }

    fn section(&self, row: usize) -> Option<Cow<'_, str>> {
        (row == 1).then(|| "second".into())
    }
}

fn table(width: Option<usize>) -> LazyTable<'static> {
    static NUMBER: Column = Column {
        name: "N",
        help: "",
        align: Align::Right,
        json: smartcols::Json::Number,
        hint: 0,
        truncate: false,
        wrap: false,
    };
    static TEXT: Column = Column { name: "TEXT", align: Align::Left, ..NUMBER };
    static COLUMNS: [&Column; 3] = [&NUMBER, &TEXT, &TEXT];
    LazyTable {
        columns: &COLUMNS,
        tree: None,
        headings: true,
        width,
        painter: Painter { colour: false },
        narrow: None,
    }
}

fn printed(print: impl FnOnce(&mut Out)) -> String {
    let mut out = Out::kept();
    print(&mut out);
    String::from_utf8(out.into_bytes()).expect("UTF-8")
}

#[test]
fn rows_in_every_output_format() {
    let people = printed(|out| table(None).print(out, &Two));
    let expected = "N TEXT        TEXT\n7 a b\\x1b\\xff yes\n\nsecond\n- 日本        x/y\n";
    assert_eq!(people, expected);
    let raw = printed(|out| table(None).print_raw(out, &Two));
    assert!(raw.starts_with("N TEXT TEXT\n7 a\\x20b\\x1b\\xff yes\n- "), "{raw}");
    let json = printed(|out| {
        table(None).print_json(out, &Two, "all", &[("host", Some("h".to_owned()))]).expect("JSON")
    });
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["all"][0]["n"], 7);
    assert_eq!(value["all"][1]["n"], serde_json::Value::Null);
    assert_eq!(value["all"][1]["host"], "h");
    let lines = printed(|out| table(None).print_json_lines(out, &Two, &[]).expect("JSON"));
    assert_eq!(lines.lines().count(), 2);
    lines.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).expect("JSON")));
}

#[test]
fn lines_are_cut_at_the_width_of_the_terminal() {
    for width in 0..20 {
        let cut = printed(|out| table(Some(width)).print(out, &Two));
        for line in cut.lines() {
            assert!(text::width(line) <= width, "{width}: {line:?}");
        }
    }
}

#[test]
fn a_cell_that_is_cut_has_a_mark() {
    let lines = |width| {
        let cut = printed(|out| table(Some(width)).print(out, &Two));
        cut.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(17), ["7 a b\\x1b\\xff yes", "", "second", "- 日本        x/y"]);
    assert_eq!(lines(16), ["7 a b\\x1b\\xff y+", "", "second", "- 日本        x+"]);
    assert_eq!(lines(5), ["7 a +", "", "seco+", "- 日+"]);
    assert_eq!(cut("123456".into(), 6, 3), ("12+".into(), 3));
}

struct Wide;

impl Source for Wide {
    fn rows(&self) -> usize {
        2
    }

    fn cell(&self, row: usize, column: usize) -> Value<'_> {
        match (row, column) {
            (0, 0) => Value::text("docker:a-name-of-more-than-twenty-four-letters"),
            (_, 0) => Value::text("docker:web"),
            (_, 1) => Value::Number(1_048_576),
            _ => Value::text("exited (137) 2h ago"),
        }
    }

    fn lines(&self, row: usize) -> (&str, usize) {
        if row == 0 { ("`- ", 3) } else { ("", 0) }
    }
}

#[test]
fn on_a_narrow_terminal_columns_give_way() {
    let narrow = |width, tree| {
        let mut table = LazyTable { tree, ..table(width) };
        table.narrow = Some(Narrow { leave_out: vec![1], shrinks: 0 });
        static TEXT: Column = Column {
            name: "TEXT",
            help: "",
            align: Align::Left,
            json: smartcols::Json::String,
            hint: 0,
            truncate: false,
            wrap: false,
        };
        static COLUMNS: [&Column; 3] = [&TEXT, &TEXT, &TEXT];
        table.columns = &COLUMNS;
        printed(|out| table.print(out, &Wide))
    };
    let whole = "TEXT                                           TEXT    TEXT\n\
                 docker:a-name-of-more-than-twenty-four-letters 1048576 exited (137) 2h ago\n\
                 docker:web                                     1048576 exited (137) 2h ago\n";
    assert_eq!(narrow(None, None), whole);
    assert_eq!(narrow(Some(80), None), whole);
    let cut = "TEXT                          TEXT\n\
               docker:a-name-of-more-than-t+ exited (137) 2h ago\n\
               docker:web                    exited (137) 2h ago\n";
    assert_eq!(narrow(Some(49), None), cut);
    // The lines of a tree are part of the column.
    let tree = "TEXT                          TEXT\n\
                `- docker:a-name-of-more-tha+ exited (137) 2h ago\n\
                docker:web                    exited (137) 2h ago\n";
    assert_eq!(narrow(Some(49), Some(0)), tree);
}
