//! The option table of an applet for clap, which renders `--help`, man pages and completions.

use super::{Describe, Effect, Grammar, Opt, OptionView, Words};

impl<P> Describe for Grammar<P> {
    /// The same table for clap, without hidden options.
    fn command(&self, name: &'static str, about: &'static str) -> clap::Command {
        let mut heading = None;
        let options = self.options.iter().filter(|opt| !opt.hidden).map(|opt| {
            let group = self.groups.iter().find(|(first, _)| *first == opt.long);
            heading = group.map(|(_, heading)| *heading).or(heading);
            let arg = clap::Arg::new(opt.long).long(opt.long).help(opt.help).help_heading(heading);
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
        clap::Command::new(name)
            .about(about)
            .version(env!("CARGO_PKG_VERSION"))
            .override_usage(format!("{name} {}", self.usage))
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args(options)
    }

    fn options(&self) -> Vec<OptionView> {
        self.options.iter().map(Opt::view).collect()
    }

    fn operands(&self) -> Words {
        match self.stops_at_operand {
            true => Words::Command,
            false => {
                let first = self.usage.lines().next().unwrap_or_default();
                Words::of(first.rsplit(' ').next().unwrap_or_default().trim_matches(['[', ']']))
            }
        }
    }
}
