//! What libFuzzer says at the end of a run, and of its coverage all along.

/// The figures of one run; 0 where it did not come to say one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) executions: u64,
    /// Edges of the control flow that were taken.
    pub(super) coverage: u64,
    /// Inputs that took a new way, and were kept.
    pub(super) new_inputs: u64,
    pub(super) peak_memory_mb: u64,
}

impl Stats {
    /// Reads a line such as `#1024 NEW cov: 512 ft: 900 ..` or `stat::number_of_executed_units: 4096`.
    pub(super) fn read(&mut self, line: &str) {
        if let Some((name, value)) = line.strip_prefix("stat::").and_then(|rest| rest.split_once(':')) {
            let Ok(value) = value.trim().parse() else { return };
            match name {
                "number_of_executed_units" => self.executions = value,
                "new_units_added" => self.new_inputs = value,
                "peak_rss_mb" => self.peak_memory_mb = value,
                _ => {}
            }
        } else if let Some((count, rest)) =
            line.strip_prefix('#').and_then(|rest| rest.split_once(char::is_whitespace))
        {
            let mut words = rest.split_whitespace().skip_while(|word| *word != "cov:").skip(1);
            if let (Ok(count), Some(Ok(coverage))) = (count.parse(), words.next().map(str::parse)) {
                // A run that crashes prints no statistics.
                self.executions = self.executions.max(count);
                self.coverage = coverage;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Stats {
        let mut stats = Stats::default();
        text.lines().for_each(|line| stats.read(line));
        stats
    }

    #[test]
    fn a_run_to_the_end_is_read() {
        let text = "INFO: seed corpus: files: 26\n\
                    #27\tINITED cov: 480 ft: 900 corp: 20/9Kb exec/s: 0 rss: 60Mb\n\
                    #1024\tNEW    cov: 512 ft: 950 corp: 21/9Kb lim: 4096 exec/s: 0 rss: 61Mb L: 7/9 MS: 1 EraseBytes-\n\
                    #4096\tDONE   cov: 513 ft: 960 corp: 22/9Kb lim: 4096 exec/s: 68 rss: 62Mb\n\
                    stat::number_of_executed_units: 4096\n\
                    stat::average_exec_per_sec:     68\n\
                    stat::new_units_added:          12\n\
                    stat::slowest_unit_time_sec:    0\n\
                    stat::peak_rss_mb:              62\n";
        assert_eq!(
            read(text),
            Stats { executions: 4_096, coverage: 513, new_inputs: 12, peak_memory_mb: 62 }
        );
    }

    #[test]
    fn a_run_that_crashes_has_the_figures_of_its_last_line() {
        let text = "#1024\tNEW    cov: 512 ft: 950 corp: 21/9Kb\n==1== ERROR: libFuzzer: deadly signal\n#0 0x55 in main\n";
        assert_eq!(read(text), Stats { executions: 1_024, coverage: 512, ..Stats::default() });
    }

    #[test]
    fn other_lines_say_nothing() {
        assert_eq!(
            read("# a heading\n#x cov: 1\nstat::more: 1\nstat::new_units_added: many\ncov: 7\n"),
            Stats::default()
        );
    }
}
