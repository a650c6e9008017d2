//! What the daemon hands to its sessions.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::client::ModelClient;
use policy::rules::{OutsideRule, Rule, RulePlace};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{SessionId, Timestamp};
use protocol::profile::Profile;
use protocol::question::QuestionKind;
use protocol::session::SessionSettings;
use session::moment::Rules;
use session::world::{CommandEnvironment, World};

use crate::universe::Universe;

/// A daemon's surroundings.
pub(crate) struct SimWorld {
    pub(crate) universe: Arc<Universe>,
    pub(crate) model: Arc<dyn ModelClient>,
}

impl World for SimWorld {
    fn now(&self) -> Timestamp {
        self.universe.clock.now()
    }

    fn model(&self, _: SessionId, _: &SessionSettings) -> Result<Arc<dyn ModelClient>, ProtocolError> {
        if self.universe.dice.percent(2) {
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, "There is no such provider"));
        }
        Ok(Arc::clone(&self.model))
    }

    fn profile(&self, _: &SessionSettings, _: &[PathBuf]) -> BoxFuture<'static, Profile> {
        Box::pin(std::future::ready(policy::profile::unrestricted()))
    }

    fn rules(&self, _: &SessionSettings) -> Rules {
        Arc::clone(&self.universe.rules.lock().unwrap())
    }

    fn allow_always(&self, kind: &QuestionKind) -> Result<(), ProtocolError> {
        if self.universe.dice.percent(20) {
            return Err(ProtocolError::new(ErrorCode::Unavailable, "The rule can't be written"));
        }
        let QuestionKind::Command { argv, cwd, .. } = kind else { return Ok(()) };
        let pattern = argv.iter().map(|word| vec![word.clone()]).collect();
        let rule = OutsideRule::new(pattern, Some(cwd.clone()), None, RulePlace::default()).unwrap();
        Arc::make_mut(&mut *self.universe.rules.lock().unwrap()).add(Rule::Outside(rule));
        Ok(())
    }

    fn environment(&self, _: SessionId, _: &SessionSettings) -> CommandEnvironment {
        [].into()
    }
}
