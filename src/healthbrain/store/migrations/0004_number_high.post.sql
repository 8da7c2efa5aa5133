-- Replaced by resource_number_high.
drop index resource_number_low;
