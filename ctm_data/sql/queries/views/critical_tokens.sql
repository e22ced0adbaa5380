-- A rolled-out solution that has a critical token: the token and its effect.
create view critical_tokens as
select
    solution_id,
    problem_id,
    critical_index as position,
    token_ids[critical_index + 1] as token_id,
    critical_piece as piece,
    value[critical_index + 1] as value,
    value_low[critical_index + 1] as value_low,
    value_high[critical_index + 1] as value_high,
    if(critical_index = 0, prompt_value, value[critical_index]) - value[critical_index + 1] as "drop",
    keep_prob[critical_index + 1] as keep_prob,
    ce[critical_index + 1] as ce,
    word_class(critical_piece, pieces[critical_index], pieces[critical_index + 2]) as word_class,
    replacement_pass_at_k,
    replacements,
    len(token_ids)::integer as n_tokens,
    rule,
    model,
    run
from rollouts left join ce_scores using (run, solution_id)
where critical_index is not null
