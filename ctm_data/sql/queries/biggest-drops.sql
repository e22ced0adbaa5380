-- The tokens that lower the value most.
select solution_id, position, piece, value + "drop" as value_before, value, keep_prob, critical, run
from tokens
where "drop" > 0
order by "drop" desc, solution_id, position
limit 30
