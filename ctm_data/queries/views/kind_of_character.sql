-- For grouping: a letter, a backslash, a hyphen or a blank in place of every ASCII character of its kind.
create macro kind_of_character(code) as case
    when code between 97 and 122 or code between 65 and 90 then 'a'
    when code = 92 then '\'
    when code = 45 then '-'
    when code < 128 then ' '
    else chr(code) end
