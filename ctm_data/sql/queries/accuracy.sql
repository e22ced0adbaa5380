-- Sampled solutions: how many are right, cut off, or without an answer; how many problems are solved at least once.
with problem_scores as (
    select run, problem_id, model, temperature, count(*) as n, count(*) filter (correct) as correct,
        count(*) filter (verdict = 'truncated') as truncated,
        count(*) filter (verdict = 'no_answer') as no_answer
    from solutions
    group by all
)
select
    benchmark,
    model,
    temperature,
    count(*) as problems,
    sum(n)::bigint as solutions,
    sum(correct) / sum(n) as accuracy,
    count(*) filter (correct > 0) / count(*) as solved_at_least_once,
    sum(truncated)::bigint as truncated,
    sum(no_answer)::bigint as no_answer,
    avg(n - correct) as wrong_per_problem
from problem_scores left join problems using (run, problem_id)
group by all
order by all
