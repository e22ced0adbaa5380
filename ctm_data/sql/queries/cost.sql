-- The cost of the values: tokens generated per wrong solution, compared with rollouts after every token.
select
    benchmark,
    rollouts.model,
    estimator,
    count(*) as solutions,
    avg(len(token_ids)) as tokens_per_solution,
    avg(generated_tokens) as generated_per_solution,
    avg(replacement_tokens) as for_replacements,
    sum(list_sum(n_rollouts))::bigint as rollouts
from rollouts left join problems using (run, problem_id)
group by all
order by all
