-- A token of a rolled-out solution. Columns that a query does not name are not computed.
create view tokens as
select
    solution_id,
    problem_id,
    position::integer as position,
    token_ids[position + 1] as token_id,
    pieces[position + 1] as piece,
    value[position + 1] as value,
    value_low[position + 1] as value_low,
    value_high[position + 1] as value_high,
    if(position = 0, prompt_value, value[position]) - value[position + 1] as "drop",
    keep_prob[position + 1] as keep_prob,
    entropy[position + 1] as entropy,
    margin[position + 1] as margin,
    greedy_id[position + 1] as greedy_id,
    n_rollouts[position + 1] as n_rollouts,
    n_correct[position + 1] as n_correct,
    ce[position + 1] as ce,
    coalesce(position = critical_index, false) as critical,
    word_class(pieces[position + 1], pieces[position], pieces[position + 2]) as word_class,
    len(token_ids)::integer as n_tokens,
    model,
    run
from (
    select rollouts.*, ce, unnest(range(len(token_ids))) as position
    from rollouts left join ce_scores using (run, solution_id)
)
