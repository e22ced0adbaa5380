-- How many of the rolled-out wrong solutions have a critical token (section 2 of the paper).
select
    benchmark,
    rollouts.model,
    rule,
    count(*) as wrong_solutions,
    count(critical_index) as with_critical,
    count(critical_index) / count(*) as share,
    count(*) filter (prompt_value = 0) as lost_before_the_first_token
from rollouts left join problems using (run, problem_id)
group by all
order by all
