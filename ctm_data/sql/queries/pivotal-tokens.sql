-- The tokens that move the value by 0.2 or more, either way (Phi-4, arXiv 2412.08905), the biggest first.
select
    if("drop" < 0, 'positive', 'negative') as sign,
    piece,
    value + "drop" as value_before,
    value as value_after,
    critical,
    position,
    solution_id
from tokens
where abs("drop") >= 0.2
order by abs("drop") desc, solution_id, position
limit 30
