-- Everything in these stands in measure_figure and measure_period since 0002_series.pre; members are kept nowhere any more.

drop table measure_result;
drop function measure_result_seen();
drop table measure_member;
