//! Figures: series of interleaved runs, their medians and ratios, as a table or as JSON.

use serde::Serialize;

use super::machine::Machine;

/// The values of one contender.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str) -> Self {
        Self { name: name.into(), unit, values: Vec::new() }
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// The middle value, or the mean of the two middle ones; NaN without values.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 1 => sorted[len / 2],
            len => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// A figure that is promised.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) goal: Goal,
    pub(crate) is_met: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) -> Self {
        let is_met = match goal {
            Goal::AtLeast(least) => value >= least,
            Goal::AtMost(most) => value <= most,
        };
        Self { name: name.into(), value, unit, goal, is_met }
    }
}

/// What a scenario found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) about: String,
    pub(crate) machine: Machine,
    pub(crate) series: Vec<Series>,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(scenario: &'static str, about: String) -> anyhow::Result<Self> {
        let machine = Machine::of_this_host()?;
        Ok(Self { scenario, about, machine, series: Vec::new(), figures: Vec::new() })
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let machine = &self.machine;
        println!("\n{}: {}", self.scenario, self.about);
        println!("  {}, {} CPUs, Linux {}", machine.cpu, machine.cpus, machine.kernel);
        println!("  {:<44} {:>12} {:>12} {:>12}", "", "median", "least", "most");
        for series in &self.series {
            let (sorted, name) = (series.sorted(), format!("{} ({})", series.name, series.unit));
            let [least, most] =
                [sorted.first(), sorted.last()].map(|value| value.copied().unwrap_or(f64::NAN));
            println!("  {name:<44} {:>12} {:>12} {:>12}", short(series.median()), short(least), short(most));
        }
        for figure in &self.figures {
            let (relation, limit) = match figure.goal {
                Goal::AtLeast(least) => (">=", least),
                Goal::AtMost(most) => ("<=", most),
            };
            let verdict = if figure.is_met { "met" } else { "MISSED" };
            let goal = format!("goal {relation} {}: {verdict}", short(limit));
            println!("  {:<44} {:>12} {} {goal}", figure.name, short(figure.value), figure.unit);
        }
        Ok(())
    }
}

/// Three digits are what a noisy machine can give.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_goals() {
        let mut series = Series::new("x", "MiB/s");
        assert!(series.median().is_nan());
        for value in [3.0, 1.0, 2.0] {
            series.push(value);
        }
        assert_eq!(series.median(), 2.0);
        series.push(10.0);
        assert_eq!(series.median(), 2.5);
        assert!(Figure::new("x", 0.8, "x", Goal::AtLeast(0.8)).is_met);
        assert!(!Figure::new("x", f64::NAN, "x", Goal::AtMost(1.0)).is_met);
    }
}
