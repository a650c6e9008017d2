//! What is looked up and chosen from: skills, agents, instruction files, and what a report of a bug has in it.

use client::Update;
use crossterm::event::{KeyCode, KeyEvent};
use protocol::agent::{AgentNode, AgentStatus};
use protocol::ids::TurnId;
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{BackgroundCommand, Presence, SessionStatus, SettingsOverrides};
use protocol::skill::{Skill, SkillReadResult, SkillSource, SkillState};
use ratatui::layout::Size;

use super::*;
use crate::frame::tests::{idle, session};
use crate::link::{News, Reply};

const NOW: Timestamp = Timestamp(50_000);

fn key(app: &mut App, code: KeyCode) -> Option<Effect> {
    app.key(KeyEvent::from(code), NOW)
}

fn write(app: &mut App, text: &str) {
    for letter in text.chars() {
        assert_eq!(key(app, KeyCode::Char(letter)), None);
    }
}

/// Writes a command and sends it.
fn obey(app: &mut App, command: &str) -> Option<Effect> {
    write(app, command);
    key(app, KeyCode::Esc);
    key(app, KeyCode::Enter)
}

fn skill(name: &str, state: SkillState) -> Skill {
    Skill {
        name: name.to_owned(),
        description: "What it is for".to_owned(),
        path: "/s/SKILL.md".into(),
        source: SkillSource::User,
        tokens: 0,
        body_tokens: 10,
        state,
    }
}

#[test]
fn a_skill_is_completed_after_its_mark_and_one_that_can_not_be_used_is_not() {
    let mut app = idle();
    write(&mut app, "use $");
    let asked = std::mem::take(&mut app.chores);
    assert!(matches!(asked[..], [Chore::Call(Call::Skills(_))]), "{asked:?}");
    let skills = vec![skill("review", SkillState::On), skill("retired", SkillState::Disabled)];
    app.news(News::Told(Call::Skills("/repo".into()), Ok(Reply::Skills(skills))), NOW);
    write(&mut app, "re");
    assert!(app.chores.is_empty(), "once is enough");
    assert_eq!(key(&mut app, KeyCode::Tab), None);
    assert_eq!(app.composer.text(), "use $review ");
    app.composer.clear();
    write(&mut app, "! echo $re");
    assert!(app.completion.is_none(), "what is run by hand has variables");
}

#[test]
fn the_status_tells_what_the_own_provider_still_lets_be_asked() {
    let mut app = idle();
    assert_eq!(obey(&mut app, "/status"), Some(Effect::Call(Call::Limits)));
    let provider = app.view.status().settings.as_ref().unwrap().provider.clone();
    let limit = |provider: &str| protocol::daemon::RateLimit {
        provider: provider.to_owned(),
        name: "requests".to_owned(),
        remaining: Some(1200),
        limit: Some(5000),
        used_percent: None,
        resets_at: Some(Timestamp(NOW.0 + 65_000)),
    };
    let limits = vec![limit(&provider), limit("another")];
    app.news(News::Told(Call::Limits, Ok(Reply::Limits(limits))), NOW);
    let Some(aside @ Aside::Limits(..)) = app.asides.pop() else { panic!("{:?}", app.asides) };
    let lines = app.aside(aside, 100);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let said = lines[0].to_string();
    assert!(said.contains("requests: 1,200 of 5,000 left, whole again in 1 min 5 s"), "{said}");
    app.news(News::Told(Call::Limits, Ok(Reply::Limits(vec![limit("another")]))), NOW);
    assert_eq!(app.asides, [Aside::Status], "those of others are not told");
}

#[test]
fn a_skill_of_the_list_is_read_or_mentioned() {
    let mut app = idle();
    assert_eq!(obey(&mut app, "/skills"), Some(Effect::Call(Call::Skills("/repo".into()))));
    let skills = vec![skill("retired", SkillState::Untrusted), skill("review", SkillState::ByName)];
    app.news(News::Told(Call::Skills("/repo".into()), Ok(Reply::Skills(skills))), NOW);
    assert_eq!(key(&mut app, KeyCode::Tab), None);
    assert!(app.picker.is_some() && app.composer.is_empty(), "it can't be used");
    let read = Call::Skill("/repo".into(), "retired".to_owned());
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(read.clone())), "but read, to judge it");
    let text = "Go on.\u{1b}[2J".to_owned();
    let told = SkillReadResult { skill: skill("retired", SkillState::Untrusted), text };
    app.news(News::Told(read, Ok(Reply::Skill(Box::new(told)))), NOW);
    let shown = app.pager.as_mut().unwrap().screen(Size::new(60, 5), &Theme::plain(), &Syntaxes::Off);
    let rows: Vec<String> = shown.iter().map(|row| row.to_string().trim_end().to_owned()).collect();
    assert_eq!(rows[0], "Go on.\\e[2J");
    assert_eq!(rows[4], "  $retired · 10 bytes · lines 1 to 1 of 1 · / finds · q lea…");
    key(&mut app, KeyCode::Esc);
    obey(&mut app, "/skills");
    let skills = vec![skill("retired", SkillState::Untrusted), skill("review", SkillState::ByName)];
    app.news(News::Told(Call::Skills("/repo".into()), Ok(Reply::Skills(skills))), NOW);
    key(&mut app, KeyCode::Down);
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.composer.text(), "$review ");
}

#[test]
fn what_goes_on_in_the_background_is_told_with_what_runs() {
    let mut app = idle();
    let background = vec![BackgroundCommand {
        process_id: 3,
        command: "npm run \u{1b}[31mwatch".to_owned(),
        is_escalated: true,
        started_at: Timestamp(NOW.0 - 50_000),
    }];
    let presence = Presence { background, ..Presence::default() };
    app.news(News::Update(Update::Presence(presence), ClientId::generate()), NOW);
    assert_eq!(obey(&mut app, "/jobs"), Some(Effect::Call(Call::Running)));
    let mut other = session("x").summary;
    other.title = Some("mend the build".to_owned());
    other.status = SessionStatus::Waiting { turn_id: TurnId::generate() };
    app.news(News::Told(Call::Running, Ok(Reply::Running(vec![other]))), NOW);
    let aside = app.asides.pop().unwrap();
    let lines: Vec<String> = app.aside(aside, 100).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines[1..],
        [
            "  background 3        npm run \\e[31mwatch · for 50.0 s · outside the sandbox",
            "  waits for an answer mend the build · /repo",
            "                      `/jobs end 3` ends it; what it did stays",
        ]
    );
    assert_eq!(obey(&mut app, "/jobs end 3"), Some(Effect::Call(Call::EndCommand(3))));
}

#[test]
fn a_list_begins_at_what_holds_so_that_enter_changes_nothing() {
    let mut app = idle();
    let (sandbox, approval) = (Some(SandboxMode::WorkspaceWrite), Some(ApprovalPolicy::OnRequest));
    let none = SettingsOverrides::default;
    for (command, wanted) in [
        ("/sandbox", SettingsOverrides { sandbox, ..none() }),
        ("/approvals", SettingsOverrides { approval, ..none() }),
        ("/permissions", SettingsOverrides { sandbox, approval, ..none() }),
    ] {
        assert_eq!(obey(&mut app, command), None);
        let chosen = key(&mut app, KeyCode::Enter);
        assert_eq!(chosen, Some(Effect::Call(Call::Change(Box::new(wanted)))), "{command}");
    }
    obey(&mut app, "/theme");
    key(&mut app, KeyCode::Enter);
    assert_eq!(app.theme.name, ThemeName::None, "as it was");
}

#[test]
fn agents_are_asked_for_again_while_they_are_shown_and_one_can_be_gone_to() {
    let mut app = idle();
    assert_eq!(obey(&mut app, "/agents"), Some(Effect::Call(Call::Agents)));
    let node = |status| AgentNode { summary: session("x").summary, status, message: None, cost: 0.0 };
    let nodes = vec![node(AgentStatus::Running), node(AgentStatus::Waiting)];
    let wanted = nodes[1].summary.id;
    app.news(News::Told(Call::Agents, Ok(Reply::Agents(nodes.clone()))), NOW);
    key(&mut app, KeyCode::Down);
    let later = app.wakes_at(NOW).unwrap();
    assert_eq!(app.tick(later), Some(Effect::Call(Call::Agents)));
    app.news(News::Told(Call::Agents, Ok(Reply::Agents(nodes))), later);
    let effect = app.key(KeyEvent::from(KeyCode::Enter), later);
    assert_eq!(effect, Some(Effect::Switch(SessionChoice::Existing(wanted), None)));
}

#[test]
fn an_instruction_file_is_opened() {
    let mut app = idle();
    assert_eq!(obey(&mut app, "/memory"), None);
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Open("/repo/AGENTS.md".into())));
}

#[test]
fn a_report_is_shown_before_it_is_written() {
    let mut app = idle();
    let Some(Effect::Call(Call::Report(file))) = obey(&mut app, "/feedback a.md") else { panic!("none") };
    assert_eq!(file, PathBuf::from("/repo/a.md"));
    let told = Ok(Reply::Report("# head\nline".to_owned()));
    let effect = app.news(News::Told(Call::Report(file.clone()), told), NOW);
    assert_eq!(app.asides, [Aside::Report("# head\nline".to_owned())]);
    let Some(Effect::Call(write @ Call::Write(..))) = effect else { panic!("{effect:?}") };
    assert_eq!(write, Call::Write(file, "# head\nline".to_owned()));
    app.news(News::Told(write, Ok(Reply::Done)), NOW);
    assert!(app.notice.as_ref().unwrap().text.contains("nothing was sent"));
}
