-- No running code takes writes in with take_in_1 any more: they go in one statement (exchange/express.py).
drop function take_in_1;
