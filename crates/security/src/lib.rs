//! Request context, authorisation, audit, quotas, accounting.
