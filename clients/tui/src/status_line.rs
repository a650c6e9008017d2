//! The line at the bottom: what is being done, what can do harm, and the rest. Which fields it has, and in which order,
//! a person sets.

use protocol::ids::Timestamp;
use protocol::profile::SandboxMode;
use protocol::session::ClientRole;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use view::{Activity, Link, Status, escape, words};

use crate::app::App;
use crate::help::doing;
use crate::wrap::width_of;

/// The share of a ceiling from which it deserves a look; the daemon warns there too.
const NEARLY: f64 = 0.8;
/// Letters of a field.
const FIELD_LETTERS: usize = 60;

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Activity,
    Mode,
    Sandbox,
    Model,
    Approvals,
    Queue,
    Others,
    /// Commands that go on in the background.
    Background,
    Context,
    Tokens,
    Cost,
    /// The ceiling that is nearest.
    Budget,
    Branch,
    Folder,
    Session,
    /// What the person's own program says.
    Script,
}

impl Field {
    pub(crate) const ALL: [Self; 16] = [
        Self::Activity,
        Self::Mode,
        Self::Sandbox,
        Self::Model,
        Self::Approvals,
        Self::Queue,
        Self::Others,
        Self::Background,
        Self::Context,
        Self::Tokens,
        Self::Cost,
        Self::Budget,
        Self::Branch,
        Self::Folder,
        Self::Session,
        Self::Script,
    ];

    /// Those that are shown where nothing else is set.
    pub(crate) const USUAL: [Self; 13] = [
        Self::Activity,
        Self::Mode,
        Self::Sandbox,
        Self::Model,
        Self::Approvals,
        Self::Script,
        Self::Queue,
        Self::Background,
        Self::Budget,
        Self::Others,
        Self::Context,
        Self::Cost,
        Self::Branch,
    ];

    /// The name as it stands in settings.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Mode => "mode",
            Self::Sandbox => "sandbox",
            Self::Model => "model",
            Self::Approvals => "approvals",
            Self::Queue => "queue",
            Self::Others => "others",
            Self::Background => "background",
            Self::Context => "context",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Budget => "budget",
            Self::Branch => "branch",
            Self::Folder => "folder",
            Self::Session => "session",
            Self::Script => "script",
        }
    }

    /// The field of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }

    /// All names, for a person.
    pub(crate) fn listed() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl App {
    /// The line; what does not fit is left out from the end.
    pub(crate) fn status_line(&self, width: u16, now: Timestamp) -> Line<'static> {
        let fields = self.settings.status_line.iter().filter_map(|field| self.field(*field, now));
        let mut spans = vec![Span::raw("  ")];
        let mut taken = 2;
        for (text, style) in fields {
            let text = escape::short_line(&text, FIELD_LETTERS);
            let gap = if taken > 2 { " · " } else { "" };
            taken += width_of(&text) + width_of(gap);
            if taken > usize::from(width) && spans.len() > 1 {
                break;
            }
            spans.push(Span::styled(gap, self.theme.dim));
            spans.push(Span::styled(text, style));
        }
        Line::from(spans)
    }

    fn field(&self, field: Field, now: Timestamp) -> Option<(String, Style)> {
        let theme = &self.theme;
        let status = self.view.status();
        let settings = status.settings.as_ref();
        let text = match field {
            Field::Activity => return Some(self.activity(now)),
            Field::Mode => return Some((self.session_mode()?.name.clone(), theme.accent)),
            Field::Sandbox => {
                let settings = settings?;
                let style = match settings.sandbox {
                    SandboxMode::DangerFullAccess => theme.danger,
                    SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => theme.dim,
                };
                let name = settings.permissions.as_ref().map(|permissions| permissions.name.as_str());
                return Some((name.unwrap_or(settings.sandbox.as_str()).to_owned(), style));
            }
            Field::Model => {
                let effort = status.effort().map(|effort| format!(" {effort}")).unwrap_or_default();
                format!("{}{effort}", settings?.model)
            }
            Field::Approvals => settings?.approval.as_str().to_owned(),
            Field::Queue => {
                Some(status.queue.len()).filter(|queued| *queued > 0).map(|it| format!("{it} queued"))?
            }
            Field::Others => self.others(status)?,
            Field::Background => match status.presence.background.len() {
                0 => return None,
                going => format!("{going} in the background"),
            },
            Field::Budget => {
                let nearest = status.budget.ceilings.first()?;
                let style = match nearest.share() {
                    share if share >= 1.0 => theme.bad,
                    share if share >= NEARLY => theme.warning,
                    _ => theme.dim,
                };
                return Some((format!("spent {}", words::ceiling(nearest)), style));
            }
            Field::Context => {
                let tokens = status.context_tokens.filter(|tokens| *tokens > 0)?;
                let window = settings.and_then(|settings| settings.model_context.window_tokens);
                match window.filter(|window| *window > 0) {
                    Some(window) => format!("context {}%", tokens.saturating_mul(100) / window),
                    None => format!("context {}", words::thousands(tokens)),
                }
            }
            Field::Tokens => {
                let tokens = Some(status.usage.total_tokens()).filter(|tokens| *tokens > 0)?;
                format!("{} tokens", words::thousands(tokens))
            }
            Field::Cost => {
                let cost = settings?.price?.cost(&status.usage);
                Some(cost).filter(|cost| *cost >= 0.005).map(|cost| format!("${cost:.2}"))?
            }
            Field::Branch => self.branch.clone()?,
            Field::Folder => settings?.cwd.file_name()?.to_string_lossy().into_owned(),
            Field::Session => status.title.clone().or_else(|| status.session.map(|id| id.to_string()))?,
            Field::Script => self.script_says.clone()?,
        };
        Some((text, theme.dim))
    }

    fn activity(&self, now: Timestamp) -> (String, Style) {
        let theme = &self.theme;
        let status = self.view.status();
        let text = doing(status).to_owned();
        match (status.link, status.activity) {
            (Link::Lost, _) => (text, theme.bad),
            (Link::Up, Activity::Running { .. }) if self.is_stopping => {
                ("stopping".to_owned(), theme.warning)
            }
            (Link::Up, Activity::Running { since, .. }) => {
                (format!("running {} s", now.since(since) / 1000), theme.accent)
            }
            (Link::Up, Activity::Waiting { .. } | Activity::Suspended { .. }) => (text, theme.warning),
            (Link::Up, Activity::Idle | Activity::Archived) => (text, theme.dim),
            (Link::Up, Activity::Damaged) => (text, theme.bad),
        }
    }

    /// Who else is here.
    fn others(&self, status: &Status) -> Option<String> {
        let mut names: Vec<String> = Vec::new();
        for attachment in &status.presence.attached {
            if Some(attachment.actor.client_id) != self.own {
                let role = match attachment.role {
                    ClientRole::Viewer => " (looks on)",
                    ClientRole::Driver | ClientRole::Unknown(_) => "",
                };
                names.push(format!("{}{role}", attachment.actor.name));
            }
        }
        (!names.is_empty()).then(|| format!("also here: {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use client::Update;
    use protocol::delta::FeedEntry;
    use protocol::ids::ClientId;
    use protocol::session::{BackgroundCommand, Presence};
    use protocol::turn::{BudgetLevel, LimitKind};
    use protocol::usage::{BudgetUse, CeilingUse};

    use super::*;
    use crate::frame::tests::idle;
    use crate::link::News;

    #[test]
    fn a_person_says_what_the_line_holds() {
        let mut app = idle();
        app.settings.status_line = vec![Field::Branch, Field::Folder, Field::Script, Field::Model];
        app.branch = Some("main".to_owned());
        let line = |app: &App, width| app.status_line(width, Timestamp(0)).to_string();
        assert_eq!(line(&app, 80), "  main · repo · m-1");
        app.script_says = Some("load 0.4\u{1b}[2J".to_owned());
        assert_eq!(line(&app, 80), "  main · repo · load 0.4\\e[2J · m-1");
        assert_eq!(line(&app, 14), "  main · repo");
    }

    #[test]
    fn what_goes_on_and_what_is_spent_is_told() {
        let mut app = idle();
        app.settings.status_line = vec![Field::Background, Field::Budget];
        let line = |app: &App| app.status_line(80, Timestamp(0));
        assert_eq!(line(&app).to_string(), "  ", "nothing is to be told");
        let command = BackgroundCommand {
            process_id: 1,
            command: "npm run watch".to_owned(),
            is_escalated: false,
            started_at: Timestamp(0),
        };
        let presence = Presence { background: vec![command.clone(), command], ..Presence::default() };
        app.news(News::Update(Update::Presence(presence), ClientId::generate()), Timestamp(0));
        for (used, said) in [(3.15, "63%"), (4.0, "80%"), (6.0, "120%")] {
            let ceiling = CeilingUse {
                level: BudgetLevel::Day,
                provider: None,
                limit: LimitKind::Cost,
                used,
                allowed: 5.0,
            };
            let told = FeedEntry::Budget(BudgetUse { ceilings: vec![ceiling] });
            app.news(News::Update(Update::Entries(vec![told]), ClientId::generate()), Timestamp(0));
            let line = line(&app);
            assert_eq!(line.to_string(), format!("  2 in the background · spent {said} of $5.00 a day"));
            let style = line.spans.last().unwrap().style;
            let wanted = match used {
                3.15 => app.theme.dim,
                4.0 => app.theme.warning,
                _ => app.theme.bad,
            };
            assert_eq!(style, wanted, "{said}");
        }
    }

    #[test]
    fn every_field_has_a_name() {
        for field in Field::ALL {
            assert_eq!(Field::of(field.as_str()), Some(field));
        }
        assert_eq!(Field::of("x"), None);
    }
}
