-- Critical tokens by word class (table 2 of the paper), compared with all tokens of the same solutions.
with places as (
    select run, pieces, unnest(range(len(pieces))) + 1 as i from rollouts
), seen as (  -- what is before a token counts only if it begins with a letter, or is a hyphen
    select
        run,
        pieces[i] as piece,
        if(kind_of_character(unicode(pieces[i])) in (32, 92), null,
            kind_of_character(unicode(pieces[i - 1][-1]))) as before,
        kind_of_character(unicode(pieces[i + 1])) as after,
        count(*) as tokens
    from places
    group by all
), benchmarks as (
    select run, any_value(benchmark) as benchmark from problems group by run
), everything as (
    select benchmark, word_class(piece, chr(before), chr(after)) as word_class, sum(tokens) as tokens
    from seen left join benchmarks using (run)
    group by all
), critical as (
    select benchmark, word_class, count(*) as critical
    from (  -- not the view, which looks up the scores of tokens
        select run, word_class(critical_piece, pieces[critical_index], pieces[critical_index + 2]) as word_class
        from rollouts
        where critical_index is not null
    ) left join benchmarks using (run)
    group by all
)
select
    everything.benchmark,
    everything.word_class,
    coalesce(critical, 0) as critical,
    coalesce(critical, 0) / sum(critical) over (partition by everything.benchmark) as share_of_critical,
    tokens::bigint as tokens,
    tokens / sum(tokens) over (partition by everything.benchmark) as share_of_tokens
from everything left join critical
    on everything.benchmark is not distinct from critical.benchmark
    and everything.word_class = critical.word_class
order by 1, 3 desc, 2
