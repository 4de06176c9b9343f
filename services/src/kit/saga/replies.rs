//! What a peer's answer means to a saga.

use super::{Act, Undo};
use crate::kit::{CallError, Code, Reply};

/// The answer to something that may be refused and can be undone.
pub fn offered(reply: Result<Reply, CallError>) -> Act {
    match reply {
        Ok(reply) if reply.is_success() => Act::Done,
        Ok(reply) => match reply.problem() {
            why if matches!(why.code, Code::SagaInProgress | Code::VersionConflict) => {
                Act::Busy(why)
            }
            why if why.code.is_transient() => Act::Unknown(why.to_string()),
            why => Act::Refused(why),
        },
        Err(error) => Act::Unknown(error.to_string()),
    }
}

/// The answer to something that cannot be refused for good; the error is why it is not certain yet.
pub fn settled(reply: Result<Reply, CallError>) -> Result<(), String> {
    match reply {
        Ok(reply) if reply.is_success() => Ok(()),
        Ok(reply) => Err(reply.problem().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The answer to an undo.
pub fn undone(reply: Result<Reply, CallError>) -> Undo {
    if let Ok(reply) = &reply
        && !reply.is_success()
        && reply.problem().code == Code::VersionConflict
    {
        return Undo::Conflict(reply.problem().to_string());
    }
    match settled(reply) {
        Ok(()) => Undo::Done,
        Err(reason) => Undo::Retry(reason),
    }
}
