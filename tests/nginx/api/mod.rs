//! `smart_api`, and the page that it shows.

mod directives;
mod formats;
mod hostile;
mod injection;
mod page;
mod page_told;
mod paths;
mod reload;
mod removal;
