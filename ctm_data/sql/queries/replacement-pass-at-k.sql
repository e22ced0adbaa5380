-- Pass@k when another token replaces the critical one (figure 2); with the critical one it is 0.
with curves as (
    select benchmark, critical_tokens.model, unnest(replacement_pass_at_k) as passed,
        1 << generate_subscripts(replacement_pass_at_k, 1) - 1 as k
    from critical_tokens left join problems using (run, problem_id)
)
select benchmark, model, k, count(*) as solutions, avg(passed) as pass_at_k
from curves
group by all
order by all
