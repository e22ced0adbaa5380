-- The tokens that cost most: the largest falls of the value from one token to the next.
select solution_id, position, piece, value + "drop" as value_before, value, keep_prob, critical, run
from tokens
where "drop" > 0
order by "drop" desc, solution_id, position
limit 30
