//! `scripts/bench limit`: `smart_limit` beside `limit_req` and beside no limiter at all.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::common::client::request;
use crate::nginx::{our_module, version, Configuration};
use crate::{limit_chart, limit_instructions, limit_load, limit_report, limit_table};

/// How much is measured.
pub struct Plan {
    /// Rounds of what is measured in time; the medians are reported.
    pub rounds: usize,
    /// How long each run under load is.
    pub run: Duration,
    /// Numbers of keys among which instructions are counted, beside one alone.
    pub held: Vec<u64>,
    /// Where the table and the chart go.
    pub output: PathBuf,
}

/// Who limits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limiter {
    /// Nobody.
    None,
    /// nginx's own module.
    LimitReq,
    /// This module.
    SmartLimit,
}

impl Limiter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::LimitReq, Self::SmartLimit];

    /// The name in tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no limiter",
            Self::LimitReq => "`limit_req`",
            Self::SmartLimit => "`smart_limit`",
        }
    }

    /// The function that nginx calls for each request.
    pub fn handler(self) -> &'static str {
        match self {
            Self::None => "",
            Self::LimitReq => "ngx_http_limit_req_handler",
            Self::SmartLimit => "ngx_http_smart_limit_handler",
        }
    }

    /// An nginx that limits in this way. `http` and `server` are written for `limit_req`, one
    /// directive a line: the name is all that the two differ in.
    pub fn configuration(
        self,
        name: &str,
        workers: usize,
        http: &str,
        server: &str,
    ) -> Result<Configuration> {
        let translate = |text: &str| -> String {
            match self {
                Self::None => text
                    .split_inclusive('\n')
                    .filter(|line| !line.trim_start().starts_with("limit_req"))
                    .collect(),
                Self::LimitReq => text.to_owned(),
                Self::SmartLimit => text.replace("limit_req", "smart_limit"),
            }
        };
        Ok(Configuration {
            name: format!("{name}-{self:?}-{workers}"),
            workers,
            modules: if self == Self::SmartLimit { our_module()? } else { vec![] },
            http: translate(http),
            server: translate(server),
        })
    }
}

/// What a zone counts by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// The client's address, 4 bytes. The client says it, for `real_ip_header X-Real-IP`.
    Address,
    /// An argument of 10 bytes.
    Argument,
    /// An argument of 64 bytes.
    Long,
}

impl Key {
    /// As nginx writes it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Address => "$binary_remote_addr",
            Self::Argument | Self::Long => "$arg_k",
        }
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Argument => "`$arg_k`",
            Self::Long => "`$arg_k` of 64 bytes",
        }
    }

    /// The key of this number as a client sends it. Numbers below 10,000,000 give different keys,
    /// scattered, all of one length.
    pub fn text(self, number: u64) -> String {
        let scattered = number * 7_919_000_017;
        match self {
            Self::Address => {
                let [.., a, b, c] = (scattered % (1 << 24)).to_be_bytes();
                format!("10.{a:03}.{b:03}.{c:03}")
            }
            Self::Argument => format!("{:010}", scattered % 10_000_000_000),
            Self::Long => format!("{:064}", scattered % 10_000_000_000),
        }
    }

    /// A GET with the key of this number.
    pub fn request(self, location: &str, number: u64) -> Vec<u8> {
        let text = self.text(number);
        match self {
            Self::Address => request("GET", location, &[("X-Real-IP", &text)], b""),
            Self::Argument | Self::Long => {
                request("GET", &format!("{location}?k={text}"), &[], b"")
            }
        }
    }
}

/// Everything that was measured.
pub struct Results {
    /// Instructions of the handlers.
    pub instructions: limit_instructions::Instructions,
    /// Who is still known to a full zone.
    pub tables: Vec<limit_table::Known>,
    /// CPU and requests/s under load.
    pub load: limit_load::Loads,
}

/// Measures, writes table and chart, and prints the table.
pub fn run(plan: &Plan) -> Result<()> {
    let results = Results {
        instructions: limit_instructions::measure(plan)?,
        tables: limit_table::measure()?,
        load: limit_load::measure(plan)?,
    };
    fs::create_dir_all(&plan.output)?;
    let report = limit_report::markdown(&results, plan, &version()?);
    fs::write(plan.output.join("limit.md"), &report)?;
    limit_chart::draw(&results, &plan.output.join("limit.svg"))?;
    println!("{report}");
    eprintln!("written: limit.md and limit.svg in {}", plan.output.display());
    Ok(())
}
