-- Every message writes these with its own row, so they should cost little.

-- Rows are written in the order of their time: the range of a few pages says enough (PostgreSQL
-- documentation: BRIN Indexes). Built before the old ones are dropped, which ends reading too.
create index messages_time_range on messages using brin (created_at);
create index ledger_booked_range on ledger using brin (booked_on);
drop index messages_time;
drop index ledger_booked;

-- No query looks for lines of the ledger by their moment.
drop index ledger_time;
drop index ledger_user_time;
