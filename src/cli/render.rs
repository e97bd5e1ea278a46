//! The option table of an applet for clap, which renders `--help`, man pages and completions.

use super::{Describe, Effect, Grammar};

/// What the shells complete for a value, by its name in the option tables.
fn value_hint(value: &str) -> clap::ValueHint {
    match value {
        "file" => clap::ValueHint::FilePath,
        "dir" => clap::ValueHint::DirPath,
        "user" | "uid|name" => clap::ValueHint::Username,
        _ => clap::ValueHint::Unknown,
    }
}

/// The values that there are, where these are few.
fn choices(value: &str) -> &'static [&'static str] {
    match value {
        "when" => &["auto", "always", "never"],
        "signame" => &["HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2"],
        _ => &[],
    }
}

impl<P> Describe for Grammar<P> {
    /// The same table for clap, without hidden options.
    fn command(&self, name: &'static str, about: &'static str) -> clap::Command {
        let mut heading = None;
        let options = self.options.iter().filter(|opt| !opt.hidden).map(|opt| {
            let group = self.groups.iter().find(|(first, _)| *first == opt.long);
            heading = group.map(|(_, heading)| *heading).or(heading);
            let arg = clap::Arg::new(opt.long).long(opt.long).help(opt.help).help_heading(heading);
            let arg = if opt.value.is_empty() { arg } else { arg.value_hint(value_hint(opt.value)) };
            let arg = match choices(opt.value) {
                [] => arg,
                values => {
                    let values = clap::builder::PossibleValuesParser::new(values);
                    arg.hide_possible_values(true).value_parser(values)
                }
            };
            let arg = match opt.short {
                Some(letter) => arg.short(letter),
                None => arg,
            };
            match opt.effect {
                Effect::Help | Effect::Version | Effect::Flag(_) => arg.action(clap::ArgAction::SetTrue),
                Effect::Required(_) => arg.value_name(opt.value).action(clap::ArgAction::Append),
                Effect::Attached(_) => {
                    arg.value_name(opt.value).require_equals(true).action(clap::ArgAction::Append)
                }
                Effect::Optional(_) | Effect::OptionalLong(_) => arg
                    .value_name(opt.value)
                    .num_args(0..=1)
                    .require_equals(true)
                    .action(clap::ArgAction::Append),
            }
        });
        let command = clap::Command::new(name)
            .about(about)
            .version(env!("CARGO_PKG_VERSION"))
            .override_usage(format!("{name} {}", self.usage))
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args(options);
        if self.stops_at_operand {
            command.arg(
                clap::Arg::new("program")
                    .num_args(0..)
                    .trailing_var_arg(true)
                    .hide(true)
                    .value_hint(clap::ValueHint::CommandWithArguments),
            )
        } else {
            command
        }
    }
}
