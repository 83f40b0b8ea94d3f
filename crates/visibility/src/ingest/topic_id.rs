//! Topic ids through librdkafka's DescribeTopics, which the rdkafka crate does not wrap.

use std::ffi::{CStr, CString};

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};
use waybill_types::TopicId;

use super::{SourceError, TopicInfo};

/// Milliseconds for one answer.
const TIMEOUT_MS: i32 = 10_000;

/// Frees what librdkafka made, whichever way a function ends.
struct Owned<T> {
    pointer: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Result<Self, SourceError> {
        if pointer.is_null() {
            return Err(SourceError::Broker("librdkafka gave nothing".to_owned()));
        }
        Ok(Self { pointer, free })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, came from the call that pairs with `free`, and is freed only here.
        unsafe { (self.free)(self.pointer) }
    }
}

fn fault(code: raw::rd_kafka_resp_err_t) -> SourceError {
    // SAFETY: librdkafka returns a static string for every code.
    let text = unsafe { CStr::from_ptr(raw::rd_kafka_err2str(code)) };
    SourceError::Broker(text.to_string_lossy().into_owned())
}

/// Describes topics by name. Topics that are gone meanwhile are left out.
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
) -> Result<Vec<TopicInfo>, SourceError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<*const std::ffi::c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let handle = client.native_ptr();
    // SAFETY: `handle` lives as long as `client`; librdkafka copies the names; every object made here is freed by
    // `Owned`, the result only after it was read.
    unsafe {
        let queue = Owned::new(raw::rd_kafka_queue_new(handle), raw::rd_kafka_queue_destroy)?;
        let options = Owned::new(
            raw::rd_kafka_AdminOptions_new(
                handle,
                raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            raw::rd_kafka_AdminOptions_destroy,
        )?;
        let mut text = [0 as std::ffi::c_char; 256];
        let set = raw::rd_kafka_AdminOptions_set_request_timeout(
            options.pointer,
            TIMEOUT_MS,
            text.as_mut_ptr(),
            text.len(),
        );
        if set != raw::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(fault(set));
        }
        let topics = Owned::new(
            raw::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            raw::rd_kafka_TopicCollection_destroy,
        )?;
        raw::rd_kafka_DescribeTopics(handle, topics.pointer, options.pointer, queue.pointer);
        // The request's own timeout comes first.
        let event = raw::rd_kafka_queue_poll(queue.pointer, TIMEOUT_MS + 2_000);
        let event = Owned::new(event, raw::rd_kafka_event_destroy)
            .map_err(|_| SourceError::Broker("no answer to DescribeTopics".to_owned()))?;
        let code = raw::rd_kafka_event_error(event.pointer);
        if code != raw::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(fault(code));
        }
        let result = raw::rd_kafka_event_DescribeTopics_result(event.pointer);
        if result.is_null() {
            return Err(SourceError::Broker("another answer than to DescribeTopics".to_owned()));
        }
        let mut count = 0;
        let found = raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok((0..count).filter_map(|at| read_topic(*found.add(at))).collect())
    }
}

/// # Safety
/// `topic` is null or a description that librdkafka keeps alive.
unsafe fn read_topic(topic: *const raw::rd_kafka_TopicDescription_t) -> Option<TopicInfo> {
    if topic.is_null() {
        return None;
    }
    // SAFETY: as the caller promises; the name and the id live as long as the description.
    unsafe {
        let error = raw::rd_kafka_TopicDescription_error(topic);
        if !error.is_null()
            && raw::rd_kafka_error_code(error) != raw::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return None;
        }
        if raw::rd_kafka_TopicDescription_is_internal(topic) != 0 {
            return None;
        }
        let name = CStr::from_ptr(raw::rd_kafka_TopicDescription_name(topic)).to_str().ok()?.to_owned();
        let id = raw::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return None;
        }
        let high = raw::rd_kafka_Uuid_most_significant_bits(id);
        let low = raw::rd_kafka_Uuid_least_significant_bits(id);
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(high.to_be_bytes().into_iter().chain(low.to_be_bytes())) {
            *to = from;
        }
        let mut partitions = 0;
        raw::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        Some(TopicInfo { id: TopicId(bytes), name, partitions: i32::try_from(partitions).ok()? })
    }
}
