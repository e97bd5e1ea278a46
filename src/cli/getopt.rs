//! The parser, with the rules of getopt_long(3).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Call, Describe, Effect, Grammar, Opt, page};
use crate::exit::{self, Exit};
use crate::text;

impl<P> Grammar<P> {
    /// Applies every option to `request`, in order, and returns the operands.
    pub(crate) fn parse(&self, call: &Call, request: &mut P) -> Result<Vec<OsString>, Exit> {
        let mut walk = Walk { grammar: self, call, next: 0 };
        let mut operands = Vec::new();
        let stops = self.stops_at_operand || std::env::var_os("POSIXLY_CORRECT").is_some();
        while let Some(arg) = call.args.get(walk.next) {
            walk.next += 1;
            match arg.as_bytes() {
                b"--" => break,
                [b'-', b'-', long @ ..] => walk.long(long, request)?,
                [b'-', letters @ ..] if !letters.is_empty() => walk.letters(letters, request)?,
                _ if stops => {
                    walk.next -= 1;
                    break;
                }
                _ => operands.push(arg.clone()),
            }
        }
        operands.extend_from_slice(&call.args[walk.next..]);
        Ok(operands)
    }

    /// The hint at the option that an unknown name probably means.
    pub(crate) fn near(&self, name: &[u8]) -> Option<String> {
        let known = self.options.iter().filter(|opt| !opt.hidden).map(|opt| opt.long);
        let near = text::nearest(&String::from_utf8_lossy(name), known)?;
        Some(text::question(&format!("--{near}")))
    }

    /// The same for a word that may be an option: `--NAME`, `--NAME=VALUE`.
    pub(crate) fn near_word(&self, word: &OsStr) -> Option<String> {
        self.near(split(word.as_bytes().strip_prefix(b"--")?).0)
    }

    /// Applies the option `word` by its whole name, for programs without abbreviations: `--name`, `--name=value`,
    /// `-h`. Returns false if there is no such option, or if a value is missing or not allowed.
    pub(crate) fn apply(&self, call: &Call, word: &OsStr, request: &mut P) -> Result<bool, Exit> {
        let (name, value) = split(word.as_bytes());
        let is_it = |opt: &&Opt<P>| match name {
            [b'-', b'-', long @ ..] => opt.long.as_bytes() == long,
            [b'-', letter] => opt.short == Some(char::from(*letter)),
            _ => false,
        };
        let Some(opt) = self.options.iter().find(is_it) else { return Ok(false) };
        match (&opt.effect, value) {
            (Effect::Required(set) | Effect::Attached(set), Some(value)) => set(request, value)?,
            (Effect::Optional(set) | Effect::OptionalLong(set), value) => set(request, value)?,
            (Effect::Required(_) | Effect::Attached(_), None) | (_, Some(_)) => return Ok(false),
            _ => Walk { grammar: self, call, next: 0 }.flag(opt, false, request)?,
        }
        Ok(true)
    }
}

struct Walk<'a, P: 'static> {
    grammar: &'a Grammar<P>,
    call: &'a Call,
    /// Index of the argument to look at next.
    next: usize,
}

impl<'a, P> Walk<'a, P> {
    fn long(&mut self, text: &[u8], request: &mut P) -> Result<(), Exit> {
        let (name, value) = split(text);
        let opt = self.find_long(name, text)?;
        let shown = || format!("--{}", opt.long);
        match opt.effect {
            Effect::Required(set) => match value.or_else(|| self.take()) {
                Some(value) => set(request, value),
                None => Err(self.usage(&format!("option '{}' requires an argument", shown()))),
            },
            Effect::Attached(set) if value.is_some() => set(request, value.unwrap_or_default()),
            Effect::Attached(_) => Err(self.usage(&format!("option '{}' requires an argument", shown()))),
            Effect::Optional(set) | Effect::OptionalLong(set) => set(request, value),
            _ if value.is_some() => {
                Err(self.usage(&format!("option '{}' doesn't allow an argument", shown())))
            }
            _ => self.flag(opt, false, request),
        }
    }

    /// A cluster: flags, and perhaps a last letter that takes the rest as its value.
    fn letters(&mut self, cluster: &[u8], request: &mut P) -> Result<(), Exit> {
        for (i, &letter) in cluster.iter().enumerate() {
            let known = |opt: &&Opt<P>| opt.short == Some(char::from(letter));
            let Some(opt) = self.grammar.options.iter().find(known) else {
                return Err(self.usage(&format!("invalid option -- '{}'", text::escape(&[letter]))));
            };
            let rest = Some(&cluster[i + 1..]).filter(|rest| !rest.is_empty()).map(OsStr::from_bytes);
            match opt.effect {
                Effect::Required(set) => {
                    return match rest.or_else(|| self.take()) {
                        Some(value) => set(request, value),
                        None => {
                            Err(self
                                .usage(&format!("option requires an argument -- '{}'", char::from(letter))))
                        }
                    };
                }
                Effect::Optional(set) => return set(request, rest),
                _ => self.flag(opt, true, request)?,
            }
        }
        Ok(())
    }

    /// An option without a value.
    fn flag(&self, opt: &Opt<P>, by_letter: bool, request: &mut P) -> Result<(), Exit> {
        match opt.effect {
            Effect::Help => {
                let command = self.grammar.command(self.call.name, self.call.about);
                // By its letter it is short: one list without headings.
                let mut command = match by_letter {
                    true => command.mut_args(|arg| arg.help_heading("Options")),
                    false => {
                        command.after_help(format!("The manual page {} says more.", page(self.call.name)))
                    }
                };
                Err(Exit::Text(command.render_help().to_string()))
            }
            Effect::Version => {
                Err(Exit::Text(format!("{} from ctrbox {}\n", self.call.name, env!("CARGO_PKG_VERSION"))))
            }
            Effect::Flag(set) => set(request),
            Effect::OptionalLong(set) => set(request, None),
            Effect::Required(_) | Effect::Attached(_) | Effect::Optional(_) => Ok(()), // never called without a value
        }
    }

    /// The option of exactly this name, else the only one that it abbreviates. Options of the original tool come
    /// before those that ctrbox added.
    fn find_long(&self, name: &[u8], text: &[u8]) -> Result<&'static Opt<P>, Exit> {
        let options = self.grammar.options;
        if let Some(opt) = options.iter().find(|opt| opt.long.as_bytes() == name) {
            return Ok(opt);
        }
        let begin = |added: bool| {
            let known = options.iter().filter(move |opt| !opt.hidden && opt.added == added);
            known.filter(|opt| opt.long.as_bytes().starts_with(name)).collect::<Vec<_>>()
        };
        let mut matching = begin(false);
        if matching.is_empty() {
            matching = begin(true);
        }
        match matching[..] {
            [opt] => Ok(opt),
            [] => {
                let hint = exit::hint_line(|| self.grammar.near(name));
                Err(self.usage(&format!("unrecognized option '--{}'{hint}", text::escape(text))))
            }
            _ => {
                let names: String = matching.iter().map(|opt| format!(" '--{}'", opt.long)).collect();
                let text = text::escape(text);
                Err(self.usage(&format!("option '--{text}' is ambiguous; possibilities:{names}")))
            }
        }
    }

    /// Takes the next argument as a value, even if it looks like an option.
    fn take(&mut self) -> Option<&'a OsStr> {
        let arg = self.call.args.get(self.next)?;
        self.next += 1;
        Some(arg)
    }

    fn usage(&self, problem: &str) -> Exit {
        Exit::Usage(format!("{}: {problem}", text::shown(&self.call.argv0)))
    }
}

/// Splits `NAME=VALUE`; the value may be missing.
fn split(text: &[u8]) -> (&[u8], Option<&OsStr>) {
    match text.iter().position(|&b| b == b'=') {
        Some(at) => (&text[..at], Some(OsStr::from_bytes(&text[at + 1..]))),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Seen {
        fn value(&mut self, name: &str, value: Option<&OsStr>) -> Result<(), Exit> {
            self.0.push(format!("{name}={:?}", value.map(|v| v.to_string_lossy().into_owned())));
            Ok(())
        }
    }

    static OPTIONS: [Opt<Seen>; 10] = [
        Opt::new(Some('u'), "uts", "", Effect::OptionalLong(|s: &mut Seen, v| s.value("u", v))),
        Opt::new(Some('a'), "all", "", Effect::Flag(|s: &mut Seen| s.value("a", None))),
        Opt::new(Some('m'), "mount", "", Effect::Optional(|s: &mut Seen, v| s.value("m", v))),
        Opt::new(Some('t'), "target", "", Effect::Required(|s: &mut Seen, v| s.value("t", Some(v)))),
        Opt::new(None, "mount-proc", "", Effect::Flag(|s: &mut Seen| s.value("mp", None))),
        Opt::new(None, "secret", "", Effect::Flag(|s: &mut Seen| s.value("secret", None))).hidden(),
        Opt::new(None, "target-of", "", Effect::Flag(|s: &mut Seen| s.value("of", None))).added(),
        Opt::new(None, "new", "", Effect::Flag(|s: &mut Seen| s.value("new", None))).added(),
        Opt::help(),
        Opt::version(),
    ];
    static PROGRAM: Grammar<Seen> =
        Grammar { usage: "", stops_at_operand: true, options: &OPTIONS, groups: &[] };
    static LIST: Grammar<Seen> =
        Grammar { usage: "", stops_at_operand: false, options: &OPTIONS, groups: &[] };

    fn parse(grammar: &'static Grammar<Seen>, args: &[&str]) -> Result<String, String> {
        let args = args.iter().map(OsString::from).collect();
        let call = Call { name: "x", about: "", argv0: OsString::from("/bin/x"), args };
        let mut seen = Seen::default();
        match grammar.parse(&call, &mut seen) {
            Ok(rest) => {
                Ok(format!("{} | {}", seen.0.join(" "), rest.join(OsStr::new(" ")).to_string_lossy()))
            }
            Err(Exit::Usage(words)) => Err(words),
            Err(Exit::Text(_)) => Err("Text".to_owned()),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn values_clusters_and_the_end_of_options() {
        let ok = |args: &[&str]| parse(&PROGRAM, args).expect("parses");
        assert_eq!(
            ok(&["-am/path", "-t", "-5", "ls", "-a"]),
            r#"a=None m=Some("/path") t=Some("-5") | ls -a"#
        );
        assert_eq!(ok(&["-ma"]), r#"m=Some("a") | "#);
        assert_eq!(ok(&["-ua", "--uts=f", "--uts", "x"]), r#"u=None a=None u=Some("f") u=None | x"#);
        assert_eq!(ok(&["--mount", "x"]), "m=None | x");
        assert_eq!(ok(&["--mount=", "--targ=1=2"]), r#"m=Some("") t=Some("1=2") | "#);
        assert_eq!(
            ok(&["--tar=1", "--ne"]),
            r#"t=Some("1") new=None | "#,
            "options of the original tool come first"
        );
        assert_eq!(ok(&["-a", "--", "-a"]), "a=None | -a");
        assert_eq!(ok(&["-", "-a"]), " | - -a");
        assert_eq!(parse(&LIST, &["x", "-a", "y", "--", "-a"]).expect("parses"), "a=None | x y -a");
    }

    #[test]
    fn errors_use_the_words_of_getopt() {
        let wrong = |args: &[&str]| parse(&PROGRAM, args).expect_err("a mistake");
        assert_eq!(wrong(&["-ax"]), "/bin/x: invalid option -- 'x'");
        assert_eq!(wrong(&["-u/x"]), "/bin/x: invalid option -- '/'");
        assert_eq!(wrong(&["-at"]), "/bin/x: option requires an argument -- 't'");
        assert_eq!(wrong(&["--target"]), "/bin/x: option '--target' requires an argument");
        assert_eq!(wrong(&["--al=1"]), "/bin/x: option '--all' doesn't allow an argument");
        assert_eq!(wrong(&["--foo=1"]), "/bin/x: unrecognized option '--foo=1'");
        assert_eq!(
            wrong(&["--mou"]),
            "/bin/x: option '--mou' is ambiguous; possibilities: '--mount' '--mount-proc'"
        );
        assert_eq!(wrong(&["--secre"]), "/bin/x: unrecognized option '--secre'");
    }

    #[test]
    fn help_applies_in_the_order_of_the_options() {
        assert!(parse(&PROGRAM, &["--help", "--foo"]).expect_err("help").starts_with("Text"));
        assert_eq!(
            parse(&PROGRAM, &["--foo", "--help"]).expect_err("x"),
            "/bin/x: unrecognized option '--foo'"
        );
    }
}
