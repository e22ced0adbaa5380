-- For grouping: the code of a letter, a backslash, a hyphen or a blank for every ASCII one of its kind.
create macro kind_of_character(code) as case
    when code between 97 and 122 or code between 65 and 90 then 97
    when code = 92 or code = 45 then code
    when code < 128 then 32
    else code end
