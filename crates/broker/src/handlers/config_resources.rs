//! What AlterConfigs and IncrementalAlterConfigs share: each resource is judged by itself, and named at most once.

use std::future::Future;

use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::{
    alter_configs_request, alter_configs_response, incremental_alter_configs_request,
    incremental_alter_configs_response,
};

use super::errors::Told;

/// A resource of either request.
pub(super) trait Asked {
    /// Its type and name.
    fn resource(&self) -> (i8, &KString);
}

/// A resource of either response.
pub(super) trait Answered {
    /// What became of the resource.
    fn answer(kind: i8, name: KString, outcome: Result<(), Told>) -> Self;
}

/// Alters one resource after the other and answers each.
pub(super) async fn alter_each<'a, R, A, F>(resources: &'a [R], alter: impl Fn(&'a R) -> F) -> Vec<A>
where
    R: Asked,
    A: Answered,
    F: Future<Output = Result<(), Told>>,
{
    let mut answers = Vec::with_capacity(resources.len());
    for (at, asked) in resources.iter().enumerate() {
        let (kind, name) = asked.resource();
        let named = |(other, one): (usize, &R)| other != at && one.resource() == (kind, name);
        let outcome = if resources.iter().enumerate().any(named) {
            Err(Told::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
        } else {
            alter(asked).await
        };
        answers.push(A::answer(kind, name.clone(), outcome));
    }
    answers
}

/// The two requests and responses have the same facts in types of their own.
macro_rules! resources_of {
    ($request:ident, $response:ident) => {
        impl Asked for $request::AlterConfigsResource {
            fn resource(&self) -> (i8, &KString) {
                (self.resource_type, &self.resource_name)
            }
        }

        impl Answered for $response::AlterConfigsResourceResponse {
            fn answer(kind: i8, name: KString, outcome: Result<(), Told>) -> Self {
                let mut answer = Self { resource_type: kind, resource_name: name, ..Self::default() };
                if let Err(told) = outcome {
                    answer.error_code = told.code.code();
                    answer.error_message = told.message.or_else(|| Some(told.code.message().into()));
                }
                answer
            }
        }
    };
}

resources_of!(alter_configs_request, alter_configs_response);
resources_of!(incremental_alter_configs_request, incremental_alter_configs_response);
