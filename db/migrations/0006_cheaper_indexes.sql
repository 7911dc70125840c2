-- Every message writes these with its own row, so they should cost little.

-- Rows are written in the order of their time: the range of a few pages says enough (PostgreSQL
-- documentation: BRIN Indexes).
drop index messages_time;
create index messages_time on messages using brin (created_at);
drop index ledger_booked;
create index ledger_booked on ledger using brin (booked_on);

-- No query looks for lines of the ledger by their moment.
drop index ledger_time;
drop index ledger_user_time;
