//! `scripts/bench room`: the waiting room, its machine alone and in nginx, and a crowd before it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use ngx_http_smart_module::core::room::rules::Order;

use crate::nginx::version;
use crate::room_client::Visitors;
use crate::room_crowd::{Crowd, Story};
use crate::room_machine::Machine;
use crate::{room_chart, room_instructions, room_load, room_machine, room_report};

/// How much is measured.
pub struct Plan {
    /// Rounds under load; the medians are reported.
    pub rounds: usize,
    /// How long each run under load is.
    pub run: Duration,
    /// Numbers of those who wait in nginx.
    pub waiting: Vec<u64>,
    /// People of the crowd; there is a seat for twenty.
    pub people: u64,
    /// Where the table and the chart go.
    pub output: PathBuf,
}

/// Everything that was measured.
pub struct Results {
    /// Who is admitted in their order, and who by lot.
    pub crowds: [(Crowd, Story); 2],
    pub machine: Machine,
    pub instructions: Vec<room_instructions::Row>,
    pub load: room_load::Loads,
}

/// Measures, writes table and chart, and prints the table.
pub fn run(plan: &Plan) -> Result<()> {
    let play = |order| -> Result<(Crowd, Story)> {
        eprintln!("a crowd, {order:?}");
        let seats = (plan.people / 20) as u32;
        let crowd = Crowd { people: plan.people, seats, order };
        Ok((crowd, crowd.play()?))
    };
    let crowds = [play(Order::Fifo)?, play(Order::Random)?];
    eprintln!("the machine alone");
    let machine = room_machine::measure()?;
    let most = plan.waiting.iter().copied().max().unwrap_or(0);
    let visitors = Visitors::new(most + 1)?;
    let results = Results {
        crowds,
        machine,
        instructions: room_instructions::measure(&visitors, &plan.waiting)?,
        load: room_load::measure(&visitors, plan)?,
    };
    fs::create_dir_all(&plan.output)?;
    let report = room_report::markdown(&results, plan, &version()?);
    fs::write(plan.output.join("room.md"), &report)?;
    room_chart::draw(&results.crowds[0].1, &plan.output.join("room.svg"))?;
    println!("{report}");
    eprintln!("written: room.md and room.svg in {}", plan.output.display());
    Ok(())
}
