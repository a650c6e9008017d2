//! Going into modes, and what becomes of a plan.

use client::Update;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::delta::FeedEntry;
use protocol::event::{EventRecord, SessionUpdated, TurnEnded, TurnStarted};
use protocol::ids::{ClientId, Seq, TurnId};
use protocol::model::Usage;
use protocol::profile::SandboxMode;
use protocol::session::SettingsOverrides;
use protocol::turn::{Actor, TurnLimits};

use super::*;
use crate::frame::tests::idle;
use crate::link::{News, Reply};

const NOW: Timestamp = Timestamp(100_000);

fn key(app: &mut App, code: KeyCode) -> Option<Effect> {
    app.key(KeyEvent::from(code), NOW)
}

fn happened(app: &mut App, event: Event, now: Timestamp) {
    let record = EventRecord { seq: Seq(app.view.seq().0 + 1), at: now, request_id: None, event };
    let update = Update::Entries(vec![FeedEntry::Event(record)]);
    app.news(News::Update(update, ClientId::generate()), now);
}

/// What the daemon makes of a change.
fn change(app: &mut App, overrides: &SettingsOverrides) {
    let mut settings = app.view.status().settings.clone().unwrap();
    settings.sandbox = overrides.sandbox.unwrap_or(settings.sandbox);
    let told = overrides.values.iter().find(|value| value.key == "developer_instructions").unwrap();
    let told: String = serde_json::from_str(&told.value).unwrap();
    settings.developer_instructions = Some(told).filter(|told| !told.is_empty());
    let actor = Actor { client_id: ClientId::generate(), name: "other".to_owned() };
    happened(app, Event::SessionUpdated(SessionUpdated { actor, title: None, settings }), NOW);
    app.news(News::Told(Call::Change(Box::default()), Ok(Reply::Warned(Vec::new()))), NOW);
}

fn enter(app: &mut App) -> SettingsOverrides {
    let back_tab = KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT);
    let Some(Effect::Call(Call::Change(overrides))) = app.key(back_tab, NOW) else { panic!("no change") };
    change(app, &overrides);
    *overrides
}

/// A session in plan mode, whose turn has just ended with a plan.
fn planned() -> App {
    let mut app = idle();
    enter(&mut app);
    app.last_message = Some("1. Mend it.".to_owned());
    app.last_key = Timestamp(0);
    let ended = TurnEnded {
        turn_id: TurnId::generate(),
        outcome: TurnOutcome::Completed,
        usage: Usage::default(),
        cost: None,
        duration_ms: 1,
    };
    happened(&mut app, Event::TurnEnded(ended), NOW);
    app
}

#[test]
fn shift_tab_goes_round_the_modes_and_back_to_what_was() {
    let mut app = idle();
    assert_eq!(enter(&mut app).sandbox, Some(SandboxMode::ReadOnly));
    assert_eq!(app.session_mode().map(|mode| mode.name.as_str()), Some("plan"));
    assert_eq!(enter(&mut app).sandbox, Some(SandboxMode::WorkspaceWrite));
    assert_eq!(app.session_mode(), None);
}

#[test]
fn a_plan_is_kept_and_carried_out_with_the_rights_from_before() {
    let mut app = planned();
    assert!(app.chores.contains(&Chore::KeepPlan("1. Mend it.".to_owned())));
    assert!(app.picker.is_some());
    assert_eq!(key(&mut app, KeyCode::Enter), None, "what was typed as it came is not meant for it");
    let later = Timestamp(NOW.0 + 1000);
    let effect = app.key(KeyEvent::from(KeyCode::Enter), later);
    assert_eq!(
        effect,
        Some(Effect::Call(Call::Start("The plan is approved. Carry it out.".to_owned().into())))
    );
    let left = app.chores.iter().find_map(|chore| match chore {
        Chore::Call(Call::Change(overrides)) => overrides.sandbox,
        _ => None,
    });
    assert_eq!(left, Some(SandboxMode::WorkspaceWrite));
}

#[test]
fn who_decided_elsewhere_is_not_asked_any_more() {
    let mut app = planned();
    let actor = Actor { client_id: ClientId::generate(), name: "other".to_owned() };
    let (turn_id, limits) = (TurnId::generate(), TurnLimits::default());
    let started = TurnStarted { turn_id, actor, limits, output_schema: None, queued_id: None };
    happened(&mut app, Event::TurnStarted(started), NOW);
    assert!(app.picker.is_none());
    assert_eq!(app.plan_command(NOW), None);
    assert!(app.picker.is_none(), "the plan from before is not offered while a turn makes the next one");
    assert!(app.notice.as_ref().unwrap().text.contains("at its end"));
}

#[test]
fn a_plan_is_carried_out_by_a_session_that_knows_nothing_else() {
    let mut app = planned();
    let Some(Effect::Switch(SessionChoice::New(params), Some(text))) =
        app.decide_plan(PlanChoice::Fresh, NOW)
    else {
        panic!("no session")
    };
    assert_eq!(params.overrides.sandbox, Some(SandboxMode::WorkspaceWrite));
    assert!(text.ends_with("1. Mend it."));
}

#[test]
fn an_edited_plan_is_what_is_carried_out() {
    let mut app = planned();
    app.picker = None;
    assert_eq!(app.decide_plan(PlanChoice::Edit, NOW), Some(Effect::Edit));
    assert_eq!(app.edited_text(), "1. Mend it.");
    app.edited("1. Mend it well.\n", NOW);
    assert!(app.picker.is_some() && app.composer.is_empty());
    let Some(Effect::Call(Call::Start(said))) = app.decide_plan(PlanChoice::CarryOut, NOW) else {
        panic!("no turn")
    };
    assert!(said.text.ends_with("1. Mend it well."));
}

#[test]
fn who_types_is_not_shown_a_list() {
    let mut app = idle();
    enter(&mut app);
    app.composer.insert("and");
    app.last_message = Some("1. Mend it.".to_owned());
    let (outcome, usage) = (TurnOutcome::Completed, Usage::default());
    let ended = TurnEnded { turn_id: TurnId::generate(), outcome, usage, cost: None, duration_ms: 1 };
    happened(&mut app, Event::TurnEnded(ended), NOW);
    assert!(app.picker.is_none() && app.plan.is_some());
    assert!(app.notice.is_some());
}

#[test]
fn a_mode_is_told_by_its_name() {
    let mut app = idle();
    let told = |app: &mut App| {
        enter(app);
        let frame = app.frame(ratatui::layout::Size::new(120, 24), NOW);
        frame.finished.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let entered = told(&mut app);
    assert!(entered.contains("mode: plan") && !entered.contains("letters"), "{entered}");
    let left = told(&mut app);
    assert!(left.contains("mode: none"), "{left}");
}
