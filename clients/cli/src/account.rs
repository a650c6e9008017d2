//! `skein whoami`: which key or account is used for which provider; never a secret.

use clap::Args;
use protocol::account::{Account, AccountListParams, AccountListResult, Credential, CredentialPlace};
use protocol::api::account::AccountClient;
use protocol::api::model::ModelClient;
use protocol::catalogue::ModelChoiceParams;
use view::escape;

use crate::connect::connect;
use crate::error::{CliError, EXIT_FAILED};
use crate::models::sentence;
use crate::output::Output;
use crate::table::{json, table};

const HELP_AFTER: &str = "\
Exit codes:
  0 there is a key or an account · 1 there is none";

/// How to show it.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct WhoamiArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows what there is.
pub(crate) async fn whoami(args: WhoamiArgs, output: Output) -> Result<u8, CliError> {
    let mut connection = connect("skein whoami", output).await?;
    let found = connection.call(async |rpc| rpc.list_accounts(AccountListParams {}).await).await?;
    let code =
        if found.accounts.iter().any(|account| account.credential.is_some()) { 0 } else { EXIT_FAILED };
    if args.json {
        return json(&found, output).map(|()| code);
    }
    let choice = connection.call(async |rpc| rpc.choice(ModelChoiceParams {}).await).await?;
    let rows = rows(&found);
    if rows.is_empty() {
        output.note(output.err.dim("there is neither a key nor an account"));
    } else {
        output.write(&table(&["provider", "name", "used"], &rows, output)).map_err(CliError::Output)?;
    }
    output.line(sentence(&choice, output)).map_err(CliError::Output)?;
    if let Some(hint) = &choice.hint {
        output.note(format_args!("{} {}", output.err.cyan("hint:"), escape::prose(hint)));
    }
    Ok(code)
}

/// A credential, for a person.
pub(crate) fn told(credential: &Credential) -> String {
    match credential {
        Credential::Environment { variable } => format!("the key in `{}`", escape::line(variable)),
        Credential::Stored { place: at } => format!("a key {}", place(at)),
        Credential::Command { program } => format!("the key that `{}` prints", escape::line(program)),
        Credential::SignedIn { place: at, email, plan, .. } => {
            let whose =
                email.as_deref().map_or("an account".to_owned(), |email| format!("the account {email}"));
            let plan = plan.as_deref().map(|plan| format!(", plan {plan}")).unwrap_or_default();
            format!("{}, {}", escape::line(&format!("{whose}{plan}")), place(at))
        }
        Credential::Unknown(_) => "something of a newer daemon".to_owned(),
    }
}

/// Where something is kept, for a person.
pub(crate) fn place(place: &CredentialPlace) -> String {
    match place {
        CredentialPlace::Keyring => "in the keyring".to_owned(),
        CredentialPlace::File { path, .. } => {
            format!("in the file {}, which only you can read", escape::line(&path.display().to_string()))
        }
        CredentialPlace::Unknown(_) => "in a place of a newer daemon".to_owned(),
    }
}

fn rows(found: &AccountListResult) -> Vec<Vec<String>> {
    let row = |account: &Account| {
        let used = told(account.credential.as_ref()?);
        Some(vec![
            escape::line(&account.provider).into_owned(),
            escape::line(&account.name).into_owned(),
            used,
        ])
    };
    found.accounts.iter().filter_map(row).collect()
}
