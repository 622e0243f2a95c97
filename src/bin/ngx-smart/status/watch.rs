//! The status on a whole terminal, for as long as somebody looks at it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TryRecvError};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context, Result};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::clean::Text;
use super::client::Client;
use super::format::{duration, time_of_day};
use super::model::{Heaviest, History, Status};
use super::rates::Past;
use super::table::{wrapped, BAD, FAINT, STRONG};
use super::{verdict, view};

/// How long a signal may go unnoticed, and the time that passes without an answer unshown.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long to wait for one more key before what the ones before have done is shown.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What was answered, and when.
struct Answer {
    status: Status,
    heaviest: Heaviest,
    /// Asked for only when something of the past is not known.
    history: Option<History>,
    received: Instant,
}

/// Shows it until somebody quits.
pub fn run(client: Client, interval: Duration) -> Result<()> {
    use std::io::{stdin, stdout, IsTerminal};
    ensure!(stdin().is_terminal() && stdout().is_terminal(), "--watch needs a terminal");
    // What cannot be reached at all is better said in a line.
    let first = ask(&client, true)?;
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
    }
    let (sender, answers) = sync_channel(1);
    let mut screen = Screen::new(client.shown.clone(), first);
    thread::spawn(move || ask_again_and_again(&client, interval, &sender));
    let mut terminal = ratatui::try_init().context("the terminal cannot be filled")?;
    let outcome = screen.live(&mut terminal, &answers, &signal);
    drop(terminal);
    ratatui::restore();
    match signal.load(Ordering::Relaxed) {
        0 => outcome,
        // Ends as if the signal had been left alone.
        number => Ok(signal_hook::low_level::emulate_default_handler(i32::try_from(number)?)?),
    }
}

fn ask(client: &Client, with_history: bool) -> Result<Answer> {
    let history = if with_history { client.history().ok() } else { None };
    let status = client.status()?;
    let received = Instant::now();
    Ok(Answer { heaviest: client.heaviest(&status), status, history, received })
}

fn ask_again_and_again(client: &Client, interval: Duration, answers: &SyncSender<Result<Answer>>) {
    let mut failed = false;
    loop {
        thread::sleep(interval);
        let answer = ask(client, failed);
        failed = answer.is_err();
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// Since when there is no answer, and why.
struct Failure {
    since: SystemTime,
    reason: Text,
}

struct Screen {
    url: Text,
    began: Instant,
    past: Past,
    status: Status,
    heaviest: Heaviest,
    problems: Vec<verdict::Problem>,
    /// When `status` came, in seconds since `began`.
    now: f64,
    failure: Option<Failure>,
    scroll: usize,
    /// How many lines there were to scroll through, and how many of them fit.
    extent: (usize, usize),
}

impl Screen {
    fn new(url: Text, first: Answer) -> Self {
        let mut screen = Screen {
            url,
            began: first.received,
            past: Past::default(),
            status: first.status.clone(),
            heaviest: Heaviest::new(),
            problems: Vec::new(),
            now: 0.0,
            failure: None,
            scroll: 0,
            extent: (0, 0),
        };
        screen.take(Ok(first));
        screen
    }

    fn take(&mut self, answer: Result<Answer>) {
        match answer {
            Ok(Answer { status, heaviest, history, received }) => {
                self.now = received.duration_since(self.began).as_secs_f64();
                if let Some(history) = history {
                    self.past.seed(&history, status.time, self.now);
                }
                self.past.add(&status, self.now);
                self.problems = verdict::problems(&status, &self.past, self.now);
                self.status = status;
                self.heaviest = heaviest;
                self.failure = None;
            }
            Err(error) => {
                let reason = Text::new(&error.root_cause().to_string());
                let since =
                    self.failure.take().map_or_else(SystemTime::now, |failure| failure.since);
                self.failure = Some(Failure { since, reason });
            }
        }
    }

    fn live(
        &mut self,
        terminal: &mut DefaultTerminal,
        answers: &Receiver<Result<Answer>>,
        signal: &AtomicUsize,
    ) -> Result<()> {
        let mut changed = true;
        while signal.load(Ordering::Relaxed) == 0 {
            // Without an answer, the time since the last one is what changes.
            if changed || self.failure.is_some() {
                terminal.draw(|frame| self.draw(frame))?;
            }
            changed = false;
            let mut patience = PATIENCE;
            while event::poll(patience)? {
                patience = AT_ONCE;
                match event::read()? {
                    Event::Key(key) if key.kind == KeyEventKind::Press && !self.obey(key) => {
                        return Ok(())
                    }
                    _ => changed = true,
                }
            }
            match answers.try_recv() {
                Ok(answer) => {
                    self.take(answer);
                    changed = true;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => anyhow::bail!("asking has ended in a panic"),
            }
        }
        Ok(())
    }

    /// Whether to go on.
    fn obey(&mut self, key: KeyEvent) -> bool {
        let (lines, fitting) = self.extent;
        let last = lines.saturating_sub(fitting);
        let page = fitting.saturating_sub(1).max(1);
        let target = match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('j') | KeyCode::Down => self.scroll + 1,
            KeyCode::Char('k') | KeyCode::Up => self.scroll.saturating_sub(1),
            KeyCode::Char(' ') | KeyCode::PageDown => self.scroll + page,
            KeyCode::PageUp => self.scroll.saturating_sub(page),
            KeyCode::Char('g') | KeyCode::Home => 0,
            KeyCode::Char('G') | KeyCode::End => last,
            _ => self.scroll,
        };
        self.scroll = target.min(last);
        true
    }

    fn draw(&mut self, frame: &mut Frame) {
        let area = frame.area();
        let width = usize::from(area.width);
        let mut top = self.headline(width);
        // The rest is worth more than the end of a long reason.
        top.truncate(usize::from(area.height).saturating_sub(2).clamp(1, 3));
        let lines = view::lines(&view::View {
            status: &self.status,
            past: &self.past,
            heaviest: &self.heaviest,
            problems: &self.problems,
            now: self.now,
            width,
            charts: true,
        });
        let fitting = usize::from(area.height).saturating_sub(top.len() + 1);
        self.extent = (lines.len(), fitting);
        self.scroll = self.scroll.min(lines.len().saturating_sub(fitting));
        let footer = self.footer();
        let shown = lines.into_iter().skip(self.scroll).take(fitting);
        for (row, line) in (0..).zip(top.into_iter().chain(shown)) {
            show(frame, line, row);
        }
        show(frame, footer, area.height.saturating_sub(1));
    }

    fn headline(&self, width: usize) -> Vec<Line<'static>> {
        let Some(Failure { since, reason }) = &self.failure else {
            let mut line = view::headline(&self.problems);
            line.push_span(Span::styled(format!("  {}", self.url), FAINT));
            return vec![line];
        };
        let time = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let passed = since.elapsed().unwrap_or_default().as_secs_f64();
        let text = format!(
            "No answer since {} ({}): {reason}. What follows is how it was then.",
            time_of_day(time),
            duration(passed.floor())
        );
        wrapped(Span::raw(""), &text, BAD, width)
    }

    fn footer(&self) -> Line<'static> {
        let (lines, fitting) = self.extent;
        let mut spans = vec![Span::styled("q", STRONG), Span::styled(" quit", FAINT)];
        if lines > fitting {
            let last = (self.scroll + fitting).min(lines);
            let place = format!(" scroll ({} to {last} of {lines})", self.scroll + 1);
            spans.extend([
                Span::raw("  "),
                Span::styled("j/k", STRONG),
                Span::styled(place, FAINT),
            ]);
        }
        spans.push(Span::styled("  charts: the last 15 minutes", FAINT));
        Line::from(spans)
    }
}

fn show(frame: &mut Frame, line: Line, row: u16) {
    let area = frame.area();
    if row < area.height {
        frame.render_widget(line, Rect { y: row, height: 1, ..area });
    }
}
