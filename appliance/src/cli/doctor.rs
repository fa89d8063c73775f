//! `forebay doctor`: shows the findings, worst level as the exit code.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;

use super::args::DoctorArgs;
use super::error::CliError;
use super::output;
use crate::config::Config;
use crate::doctor::{self, Finding, Level};

/// Exit code 1 when anything fails; warnings do not count.
pub(super) async fn run(args: DoctorArgs) -> Result<ExitCode, CliError> {
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let findings = doctor::examine(config.as_ref()).await;
    if args.json {
        output::print_json(&Report { findings: &findings })?;
    } else {
        output::print(&render(&findings))?;
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[derive(Serialize)]
struct Report<'f> {
    findings: &'f [Finding],
}

fn render(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, level, found, fix } in findings {
        let level = match level {
            Level::Ok => "ok  ",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        };
        let fix = if fix.is_empty() { String::new() } else { format!("; {fix}") };
        writeln!(text, "{level}  {check}: {found}{fix}").expect("a String takes every text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_shown_with_level_and_fix() {
        let finding = |level, fix: &str| Finding {
            check: "/dev/fuse".into(),
            level,
            found: "No such file".into(),
            fix: fix.into(),
        };
        let text = render(&[finding(Level::Fail, "modprobe fuse"), finding(Level::Ok, "")]);
        assert_eq!(text, "FAIL  /dev/fuse: No such file; modprobe fuse\nok    /dev/fuse: No such file\n");
    }
}
