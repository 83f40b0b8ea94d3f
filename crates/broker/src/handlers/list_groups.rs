//! ListGroups: those that the client may describe (all of them with DESCRIBE on the cluster).

use std::sync::Arc;

use futures::future::join_all;
use waybill_coordinator::Step;
use waybill_coordinator::admin::GROUP_TYPE;
use waybill_protocol_gen::messages::list_groups_response::ListedGroup;
use waybill_protocol_gen::messages::{ListGroupsRequest, ListGroupsResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation};

use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct ListGroups;

impl Handler for ListGroups {
    type Request = ListGroupsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: ListGroupsRequest,
    ) -> Result<Authorized<ListGroupsRequest>, Box<ListGroupsResponse>> {
        Ok(broker.gate.open(request, "groups are filtered one by one"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<ListGroupsRequest>,
    ) -> ListGroupsResponse {
        let request = request.into_inner();
        let own = |names: &[waybill_protocol::wire::KString]| -> Arc<[String]> {
            names.iter().map(ToString::to_string).collect()
        };
        let (states, types) = (own(&request.states_filter), own(&request.types_filter));
        let desks = broker.groups.desks();
        let lists = desks.iter().map(|desk| {
            let (states, types) = (Arc::clone(&states), Arc::clone(&types));
            desk.ask(move |coordinator, _| (coordinator.list(&states, &types), Step::default()))
        });
        // A partition that has just moved lists its groups where it is now.
        let listed = join_all(lists).await.into_iter().filter_map(Result::ok).flatten();
        let everything =
            broker.gate.allows(&call.context, Action::cluster(Operation::Describe), OnDenial::Silent);
        let visible = listed.filter(|group| {
            let may = Action::group(Operation::Describe, &group.group_id);
            everything || broker.gate.allows(&call.context, may, OnDenial::Silent)
        });
        let groups = visible.map(|group| ListedGroup {
            group_id: group.group_id.into(),
            protocol_type: group.protocol_type.into(),
            group_state: group.state.name().into(),
            group_type: GROUP_TYPE.into(),
            ..ListedGroup::default()
        });
        ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
    }

    fn throttle(response: &mut ListGroupsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}
