-- "Greater than" is the usual question about a number, and ranges end at `high`; equality bounds both ends.
create index resource_number_high on resource_number (param, code, high);
