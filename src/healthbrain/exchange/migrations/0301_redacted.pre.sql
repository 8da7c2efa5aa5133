-- When something was taken out of what a delivery had brought (erasure of a person); its digest stays that of what was sent.
alter table delivery add column redacted_at timestamptz;
