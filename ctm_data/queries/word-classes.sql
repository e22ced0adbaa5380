-- Critical tokens by word class (table 2 of the paper), beside all tokens of the same solutions.
with places as (
    select pieces, problem_id, run, unnest(range(len(pieces))) as position from rollouts
), seen as (  -- a token's class depends on its piece and one character on either side
    select
        benchmark,
        pieces[position + 1] as piece,
        unicode(pieces[position][-1]) as before,
        unicode(pieces[position + 2][1]) as after,
        count(*) as tokens
    from places left join problems using (run, problem_id)
    group by all
), everything as (
    select
        benchmark,
        word_class(piece, chr(nullif(before, 0)), chr(nullif(after, 0))) as word_class,
        sum(tokens) as tokens
    from seen
    group by all
), critical as (
    select benchmark, word_class, count(*) as critical
    from critical_tokens left join problems using (run, problem_id)
    group by all
)
select
    benchmark,
    word_class,
    coalesce(critical, 0) as critical,
    coalesce(critical, 0) / sum(critical) over (partition by benchmark) as share_of_critical,
    tokens::bigint as tokens,
    tokens / sum(tokens) over (partition by benchmark) as share_of_tokens
from everything left join critical using (benchmark, word_class)
order by benchmark, critical desc, word_class
