"""The problem families of the `pocket` benchmark: what is told, what is asked, how it is solved.

A family is a table row, read by `generator.py`:

- `numbers` names the quantities the story gives, with their ranges;
- `story` is one string a sentence, its wordings separated by `|`;
- `ask` is the question, likewise;
- `steps` is the solution, one `result = left op right: sentence` a step, where `{}` is the sum
  that the sentence contains (`3 * 4 = 12`).

`{A}`, `{B}`, `{C}` are people and `{thing}` is one of `things`. A family whose answer counts things
that `{A}` has at the end may be followed by a `Tail`, one more sentence and one more step.
"""

from dataclasses import dataclass

NAMES = (
    "Ann Ben Carla David Emma Felix Grace Hugo Iris Jack "
    "Kim Leo Mia Noah Olga Paul Rosa Sam Tina Victor"
).split()

TOYS = ("marbles", "stickers", "cards", "shells", "coins")
FOOD = ("muffins", "cookies", "rolls", "pies")
FRUIT = ("apples", "pears", "plums", "lemons")
DESK = ("pens", "pencils", "rulers", "folders")


@dataclass(frozen=True)
class Family:
    """One kind of problem. `counts` says that the answer is a number of things `{A}` has."""

    name: str
    numbers: str
    story: tuple[str, ...]
    ask: str
    steps: tuple[str, ...]
    things: tuple[str, ...] = ("things",)
    counts: bool = False


@dataclass(frozen=True)
class Tail:
    """A sentence that goes on from the answer of a counting family, and its own question."""

    name: str
    numbers: str
    story: str
    ask: str
    step: str
    counts: bool = True


FAMILIES = (
    Family(
        "trays", "trays 2-9, per 3-12, eaten 2-20",
        ("{A} bakes {trays} trays of {per} {thing}.|{A} puts {per} {thing} on each of {trays} trays.",
         "{B} eats {eaten} of them.|Then {eaten} of the {thing} are eaten."),
        "How many {thing} does {A} have left?|How many {thing} remain?",
        ("baked = trays * per: {A} bakes {} {thing}.", "left = baked - eaten: {A} has {} {thing} left."),
        FOOD, counts=True),
    Family(
        "shelves", "shelves 2-9, per 4-12, desk 3-25",
        ("{A} keeps {per} books on each of {shelves} shelves.|{A} has {shelves} shelves with {per} books each.",
         "Another {desk} books lie on the desk.|There are {desk} more books on the desk."),
        "How many books does {A} have?|How many books are there in all?",
        ("shelved = shelves * per: The shelves hold {} books.", "books = shelved + desk: {A} has {} books."),
        ("books",), counts=True),
    Family(
        "share_bags", "first 5-40, second 4-40, friends 2-8",
        ("{A} has a bag of {first} {thing} and a bag of {second}.|{A} finds {first} {thing} today and {second} {thing} yesterday.",
         "{A} shares them equally among {friends} friends.|They are split evenly between {friends} friends."),
        "How many {thing} does each friend get?|How many {thing} are there for each friend?",
        ("all = first + second: {A} has {} {thing} to share.", "each = all / friends: Each friend gets {} {thing}."),
        TOYS),
    Family(
        "twice_together", "own 3-60",
        ("{A} has {own} {thing}.|{A} owns {own} {thing}.",
         "{B} has twice as many {thing} as {A}.|{B} owns double that number."),
        "How many {thing} do they have together?|How many {thing} do {A} and {B} have in all?",
        ("other = own * 2: {B} has {} {thing}.", "both = own + other: Together they have {} {thing}."),
        TOYS),
    Family(
        "more_than", "own 5-60, extra 3-30",
        ("{A} picks {own} {thing}.|{A} gathers {own} {thing}.",
         "{B} picks {extra} more {thing} than {A}.|{B} beats {A} by {extra} {thing}."),
        "How many {thing} do they pick together?|How many {thing} are picked in all?",
        ("other = own + extra: {B} picks {} {thing}.", "both = own + other: Together they pick {} {thing}."),
        FRUIT),
    Family(
        "fewer_than", "own 20-80, less 3-19",
        ("{A} collects {own} {thing}.|{A} has collected {own} {thing}.",
         "{B} collects {less} fewer {thing} than {A}.|That is {less} more than {B} has.|{B} is {less} {thing} behind {A}."),
        "How many {thing} do they have together?|How many {thing} do the two have?",
        ("other = own - less: {B} has {} {thing}.", "both = own + other: Together they have {} {thing}."),
        TOYS),
    Family(
        "times_then_fewer", "own 4-20, times 2-6, less 2-15",
        ("{A} has {own} {thing}.|There are {own} {thing} in the box of {A}.",
         "{B} has {times} times as many as {A}.|The box of {B} holds {times} times that number.",
         "{C} has {less} fewer {thing} than {B}.|{B} has {less} more {thing} than {C}."),
        "How many {thing} does {C} have?|What number of {thing} does {C} have?",
        ("second = own * times: {B} has {} {thing}.", "third = second - less: {C} has {} {thing}."),
        TOYS),
    Family(
        "two_prices", "n 2-9, p 2-12, m 2-9, q 2-12",
        ("{A} buys {n} {thing} at {p} dollars each.|{A} pays {p} dollars for each of {n} {thing}.",
         "{A} also buys {m} bags for {q} dollars each.|Then {A} takes {m} bags that cost {q} dollars each."),
        "How much does {A} spend?|What does {A} pay in all?",
        ("one = n * p: The {thing} cost {} dollars.", "two = m * q: The bags cost {} dollars.",
         "spent = one + two: {A} spends {} dollars."),
        DESK),
    Family(
        "change", "n 2-9, p 2-11, paid 20-100",
        ("{A} buys {n} {thing} for {p} dollars each.|One of the {thing} costs {p} dollars and {A} buys {n}.",
         "{A} pays with {paid} dollars.|{A} hands over {paid} dollars."),
        "How much change does {A} get?|How many dollars does {A} get back?",
        ("cost = n * p: The {thing} cost {} dollars.", "change = paid - cost: The change is {} dollars."),
        DESK),
    Family(
        "savings", "weekly 3-15, weeks 2-9, price 40-150",
        ("{A} saves {weekly} dollars a week for {weeks} weeks.|For {weeks} weeks {A} puts away {weekly} dollars every week.",
         "A bike costs {price} dollars.|{A} wants a bike for {price} dollars."),
        "How much more does {A} need?|How many dollars are still missing?",
        ("saved = weekly * weeks: {A} saves {} dollars.", "need = price - saved: {A} still needs {} dollars.")),
    Family(
        "wages", "hours 3-12, rate 4-15, spent 3-30",
        ("{A} works {hours} hours for {rate} dollars an hour.|{A} earns {rate} dollars an hour and works {hours} hours.",
         "{A} spends {spent} dollars on lunch.|Lunch costs {A} {spent} dollars."),
        "How much money is left?|How many dollars does {A} keep?",
        ("earned = hours * rate: {A} earns {} dollars.", "left = earned - spent: {A} keeps {} dollars.")),
    Family(
        "two_jobs", "h 2-9, r 3-12, k 2-9, s 3-12",
        ("{A} walks dogs for {h} hours at {r} dollars an hour.|Walking dogs pays {A} {r} dollars an hour for {h} hours.",
         "{A} also cuts grass for {k} hours at {s} dollars an hour.|Cutting grass pays {s} dollars an hour and {A} does it for {k} hours."),
        "How much does {A} earn?|How many dollars does {A} make in all?",
        ("dogs = h * r: The dogs bring {} dollars.", "grass = k * s: The grass brings {} dollars.",
         "earned = dogs + grass: {A} earns {} dollars.")),
    Family(
        "reading", "pages 60-200, daily 4-15, days 3-9",
        ("{A} has a book of {pages} pages.|The book of {A} has {pages} pages.",
         "{A} reads {daily} pages a day for {days} days.|For {days} days {A} reads {daily} pages each day."),
        "How many pages are left?|How many pages must {A} still read?",
        ("read = daily * days: {A} reads {} pages.", "left = pages - read: There are {} pages left.")),
    Family(
        "reading_days", "pages 30-120, done 5-40, daily 3-9",
        ("{A} has to read {pages} pages.|The homework of {A} is {pages} pages long.",
         "{A} has read {done} pages so far.|So far {done} of the pages are done.",
         "From now on {A} reads {daily} pages a day.|The plan is now {daily} pages a day."),
        "How many days will the rest take?|In how many days will {A} be done?",
        ("left = pages - done: There are {} pages left.", "days = left / daily: The rest takes {} days.")),
    Family(
        "trip", "speed 20-60, hours 2-6, more 5-50",
        ("{A} drives {hours} hours at {speed} miles an hour.|At {speed} miles an hour {A} drives for {hours} hours.",
         "Then {A} drives {more} more miles.|After a break the road goes on for {more} miles."),
        "How many miles does {A} drive?|How long is the whole trip in miles?",
        ("first = speed * hours: The first part is {} miles.", "trip = first + more: The trip is {} miles.")),
    Family(
        "commute", "way 2-12, days 2-7, extra 3-20",
        ("{A} lives {way} miles from work and drives there and back.|Work is {way} miles away and {A} drives both ways.",
         "{A} does this on {days} days.|There are {days} days of work.",
         "On Sunday {A} drives another {extra} miles.|A visit on Sunday adds {extra} miles."),
        "How many miles does {A} drive?|How many miles is that in all?",
        ("daily = way * 2: A day is {} miles.", "work = daily * days: Work makes {} miles.",
         "miles = work + extra: In all {A} drives {} miles.")),
    Family(
        "garden", "rows 3-10, per 3-12, lost 2-15",
        ("{A} plants {rows} rows of {per} trees.|In each of {rows} rows {A} plants {per} trees.",
         "Then {lost} trees die.|A storm breaks {lost} of the trees."),
        "How many trees does {A} have now?|How many trees still stand?",
        ("planted = rows * per: {A} plants {} trees.", "alive = planted - lost: {A} has {} trees now."),
        ("trees",), counts=True),
    Family(
        "eggs", "hens 3-12, each 2-7, eaten 2-12, price 2-5",
        ("{A} has {hens} hens and each lays {each} eggs.|Each of the {hens} hens of {A} lays {each} eggs.",
         "{A} eats {eaten} eggs.|At home {eaten} eggs are eaten.",
         "The rest are sold for {price} dollars each.|{A} sells the others at {price} dollars an egg."),
        "How much does {A} make?|How many dollars does {A} get?",
        ("laid = hens * each: The hens lay {} eggs.", "sold = laid - eaten: {A} sells {} eggs.",
         "money = sold * price: {A} makes {} dollars.")),
    Family(
        "boxes", "all 12-90, per 2-9, price 2-9",
        ("{A} packs {all} {thing} into boxes of {per}.|{A} has {all} {thing} and puts {per} in each box.",
         "A box sells for {price} dollars.|{A} gets {price} dollars for each box."),
        "How much does {A} get?|How many dollars do the boxes bring?",
        ("boxes = all / per: {A} fills {} boxes.", "money = boxes * price: {A} gets {} dollars."),
        FRUIT),
    Family(
        "rope", "long 40-150, pieces 2-8, each 3-12",
        ("{A} has a rope of {long} feet.|A rope is {long} feet long.",
         "{A} cuts off {pieces} pieces of {each} feet.|Then {pieces} pieces are cut, each {each} feet long."),
        "How many feet of rope are left?|How long is the rest of the rope?",
        ("cut = pieces * each: The pieces take {} feet.", "left = long - cut: There are {} feet left.")),
    Family(
        "bus", "start 8-40, on 3-20, off 2-15, more 2-15",
        ("A bus starts with {start} people.|There are {start} people on a bus.",
         "At the first stop {on} people get on and {off} get off.|First {on} people join and {off} people leave.",
         "At the next stop {more} people get on.|Then {more} more people join."),
        "How many people are on the bus?|How many people does the bus carry now?",
        ("joined = start + on: With the new people there are {}.", "stayed = joined - off: Then there are {} people.",
         "now = stayed + more: At the end there are {} people.")),
    Family(
        "tank", "start 10-60, rate 3-12, minutes 3-10, leak 2-20",
        ("A tank holds {start} gallons.|There are {start} gallons in a tank.",
         "{A} adds {rate} gallons a minute for {minutes} minutes.|For {minutes} minutes a pump brings {rate} gallons each minute.",
         "Then {leak} gallons leak out.|A leak loses {leak} gallons."),
        "How many gallons are in the tank?|How much water is there at the end?",
        ("added = rate * minutes: The new water is {} gallons.", "full = start + added: The tank has {} gallons.",
         "end = full - leak: At the end there are {} gallons.")),
    Family(
        "groups", "girls 6-30, boys 6-30, size 2-8",
        ("A class has {girls} girls and {boys} boys.|There are {boys} boys and {girls} girls in a class.",
         "{A} makes groups of {size}.|They work in groups of {size}."),
        "How many groups are there?|How many groups does the class form?",
        ("all = girls + boys: The class has {} children.", "groups = all / size: There are {} groups.")),
    Family(
        "tickets", "adults 2-9, full 5-15, kids 2-9, half 2-9, coupon 2-12",
        ("{adults} adults pay {full} dollars each.|A ticket costs {full} dollars for each of {adults} adults.",
         "{kids} children pay {half} dollars each.|Each of {kids} children pays {half} dollars.",
         "{A} has a coupon of {coupon} dollars.|A coupon takes off {coupon} dollars."),
        "How much do they pay?|What is the price for all of them?",
        ("old = adults * full: The adults cost {} dollars.", "young = kids * half: The children cost {} dollars.",
         "sum = old + young: That makes {} dollars.", "paid = sum - coupon: They pay {} dollars.")),
    Family(
        "half_sold", "all 12-90, more 2-15",
        ("{A} brings {all} {thing} to the market.|On the stand of {A} lie {all} {thing}.",
         "In the morning half of them are sold.|{A} sells half of the {thing} early.",
         "Then {more} more are sold.|Later {A} sells another {more}."),
        "How many {thing} does {A} have left?|How many {thing} are not sold?",
        ("rest = all / 2: After half are sold {A} has {} {thing}.", "left = rest - more: {A} has {} {thing} left."),
        FRUIT, counts=True),
    Family(
        "age_later", "young 3-14, times 2-5, years 2-20",
        ("{A} is {young} years old.|{A} has just turned {young}.",
         "{B} is {times} times as old.|The age of {B} is {times} times the age of {A}."),
        "How old will {B} be in {years} years?|What is the age of {B} after {years} years?",
        ("old = young * times: {B} is {} years old.", "later = old + years: Later {B} will be {}.")),
    Family(
        "age_sum", "young 4-40, gap 2-20, older 2-15",
        ("{A} is {young} years old.|{A} has lived {young} years.",
         "{B} is {gap} years older than {A}.|{A} is {gap} years younger than {B}.",
         "{C} is {older} years older than {B}.|{B} was born {older} years after {C}."),
        "How old are {A} and {C} together?|What is the sum of the ages of {A} and {C}?",
        ("second = young + gap: {B} is {} years old.", "third = second + older: {C} is {} years old.",
         "sum = young + third: Together that is {} years.")),
    Family(
        "recipe", "cups 2-7, batches 3-12, have 3-20",
        ("A cake takes {cups} cups of flour and {A} bakes {batches} cakes.|{A} bakes {batches} cakes with {cups} cups of flour each.",
         "{A} already has {have} cups.|There are {have} cups at home."),
        "How many cups must {A} buy?|How many more cups are needed?",
        ("need = cups * batches: The cakes take {} cups.", "buy = need - have: {A} must buy {} cups.")),
    Family(
        "candles", "packs 2-9, per 4-12, used 2-20, daily 2-6",
        ("{A} buys {packs} packs of {per} candles.|{A} gets {per} candles in each of {packs} packs.",
         "{A} has burned {used} of them.|So far {used} candles are gone.",
         "Now {A} burns {daily} candles a day.|From now on {daily} candles burn each day."),
        "How many days will the rest last?|For how many days are there candles?",
        ("all = packs * per: {A} buys {} candles.", "left = all - used: There are {} candles left.",
         "days = left / daily: They last {} days.")),
    Family(
        "album", "pages 3-12, per 3-10, loose 3-25, gift 2-20",
        ("{A} has an album with {pages} pages of {per} photos.|Each of the {pages} pages in the album of {A} holds {per} photos.",
         "There are {loose} loose photos too.|{A} also has {loose} loose photos.",
         "{A} gives {gift} photos to {B}.|{B} gets {gift} photos from {A}."),
        "How many photos does {A} have now?|How many photos does {A} keep?",
        ("album = pages * per: The album holds {} photos.", "all = album + loose: In all there are {} photos.",
         "left = all - gift: {A} has {} photos now."),
        ("photos",), counts=True),
    Family(
        "basket", "twos 2-15, threes 2-12, lost 2-10",
        ("{A} makes {twos} shots of 2 points.|With {twos} shots {A} wins 2 points each.",
         "{A} makes {threes} shots of 3 points.|For {threes} far shots {A} wins 3 points each.",
         "For fouls {A} loses {lost} points.|Fouls cost {A} {lost} points."),
        "How many points does {A} have?|What is the score of {A}?",
        ("near = twos * 2: The near shots make {} points.", "far = threes * 3: The far shots make {} points.",
         "all = near + far: Together that is {} points.", "score = all - lost: {A} has {} points.")),
    Family(
        "fence", "long 4-30, wide 3-20, price 2-5",
        ("A garden is {long} feet long and {wide} feet wide.|The garden of {A} measures {long} feet by {wide} feet.",
         "{A} puts a fence all around it for {price} dollars a foot.|A fence all around costs {price} dollars a foot."),
        "How much does the fence cost?|What does {A} pay for the fence?",
        ("side = long + wide: Two sides make {} feet.", "around = side * 2: The fence is {} feet long.",
         "cost = around * price: It costs {} dollars.")),
    Family(
        "tiles", "long 4-12, wide 3-12, boxes 2-6, per 3-9",
        ("A floor takes {wide} rows of {long} tiles.|{A} lays {long} tiles in each of {wide} rows.",
         "{A} has {boxes} boxes of {per} tiles.|There are {per} tiles in each of {boxes} boxes."),
        "How many more tiles does {A} need?|How many tiles are missing?",
        ("need = long * wide: The floor takes {} tiles.", "have = boxes * per: The boxes hold {} tiles.",
         "miss = need - have: {A} needs {} more tiles.")),
    Family(
        "vases", "roses 2-12, lilies 2-12, vases 2-8, spare 2-15",
        ("{A} puts {roses} roses and {lilies} lilies in each vase.|A vase gets {roses} roses and {lilies} lilies.",
         "There are {vases} vases.|{A} fills {vases} vases.",
         "{spare} flowers are left over.|At the end {A} still has {spare} flowers."),
        "How many flowers did {A} have at first?|How many flowers were there in all?",
        ("each = roses + lilies: A vase has {} flowers.", "used = each * vases: The vases take {} flowers.",
         "all = used + spare: At first {A} had {} flowers.")),
    Family(
        "purse", "nickels 2-12, dimes 2-9, price 10-60",
        ("{A} has {nickels} coins of 5 cents.|In the purse of {A} are {nickels} coins of 5 cents.",
         "{A} has {dimes} coins of 10 cents.|There are {dimes} coins of 10 cents too.",
         "{A} buys gum for {price} cents.|The gum costs {price} cents."),
        "How many cents are left?|How many cents does {A} keep?",
        ("small = nickels * 5: The small coins make {} cents.", "big = dimes * 10: The big coins make {} cents.",
         "all = small + big: {A} has {} cents.", "left = all - price: {A} keeps {} cents.")),
    Family(
        "legs", "hens 3-20, cows 2-15",
        ("A farm has {hens} hens with 2 legs each.|{A} counts {hens} hens with 2 legs each.",
         "It has {cows} cows with 4 legs each.|There are {cows} cows with 4 legs each."),
        "How many legs are there?|How many legs do the animals have?",
        ("first = hens * 2: The hens have {} legs.", "second = cows * 4: The cows have {} legs.",
         "legs = first + second: In all there are {} legs.")),
    Family(
        "discount", "price 10-60, off 2-9, n 2-7",
        ("A shirt costs {price} dollars.|The price of a shirt is {price} dollars.",
         "Today it is {off} dollars cheaper.|A sale takes {off} dollars off each shirt."),
        "What do {n} shirts cost today?|How much does {A} pay for {n} shirts today?",
        ("sale = price - off: A shirt costs {} dollars.", "cost = sale * n: The shirts cost {} dollars.")),
    Family(
        "pizza", "pizzas 2-9, slices 6-12, people 3-12, each 2-4",
        ("{A} orders {pizzas} pizzas with {slices} slices each.|Each of the {pizzas} pizzas of {A} has {slices} slices.",
         "{people} guests eat {each} slices each.|Each of {people} guests eats {each} slices."),
        "How many slices does {A} have left?|How many slices remain?",
        ("all = pizzas * slices: There are {} slices.", "eaten = people * each: The guests eat {} slices.",
         "left = all - eaten: {A} has {} slices left."),
        ("slices",), counts=True),
    Family(
        "printers", "slow 3-9, fast 5-15, minutes 2-9, bad 2-12",
        ("One machine makes {slow} parts a minute and another makes {fast}.|A machine makes {fast} parts a minute and a second one {slow}.",
         "{A} runs both for {minutes} minutes.|Both run for {minutes} minutes.",
         "{bad} parts are bad.|Later {A} throws out {bad} parts."),
        "How many good parts does {A} have?|How many parts can {A} use?",
        ("both = slow + fast: Both make {} parts a minute.", "made = both * minutes: They make {} parts.",
         "good = made - bad: {A} has {} good parts."),
        ("parts",), counts=True),
    Family(
        "chain", "own 3-25, extra 2-15, less 2-10",
        ("{A} has {own} {thing}.|{A} holds {own} {thing}.",
         "{B} has {extra} more than {A}.|{A} has {extra} fewer than {B}.",
         "{C} has twice as many as {B}.|{B} has half as many as {C}.",
         "{C} loses {less} of them.|Then {less} of the {thing} of {C} get lost."),
        "How many {thing} do {A} and {C} have together?|How many {thing} are there with {A} and {C}?",
        ("second = own + extra: {B} has {} {thing}.", "third = second * 2: {C} has {} {thing}.",
         "kept = third - less: {C} keeps {} {thing}.", "both = own + kept: Together there are {} {thing}."),
        TOYS),
)  # fmt: skip

TAILS = (
    Tail("gift", "more 3-30", "Then {B} gives {A} {more} more {thing}.|{A} gets {more} {thing} from {B}.",
         "How many {thing} does {A} have in the end?", "end = it + more: In the end {A} has {} {thing}."),
    Tail("loss", "gone 2-15", "Then {A} gives {gone} {thing} to {C}.|{C} takes {gone} of the {thing}.",
         "How many {thing} does {A} have in the end?", "end = it - gone: In the end {A} has {} {thing}."),
    Tail("double", "", "Then {A} doubles the number of {thing}.|Later {A} has twice as many {thing}.",
         "How many {thing} does {A} have in the end?", "end = it * 2: In the end {A} has {} {thing}."),
    Tail("share", "heads 2-8", "{A} shares them equally among {heads} children.|They go in equal parts to {heads} children.",
         "How many {thing} does each child get?", "part = it / heads: Each child gets {} {thing}.", False),
    Tail("sell", "gain 2-6", "{A} sells all of them for {gain} dollars each.|Each of them brings {A} {gain} dollars.",
         "How much money does {A} get?", "money = it * gain: {A} gets {} dollars.", False),
    Tail("pack", "size 2-9", "{A} packs them in boxes of {size}.|A box holds {size} of them.",
         "How many boxes does {A} need?", "boxed = it / size: {A} needs {} boxes.", False),
)  # fmt: skip

DISTRACTORS = (
    "{A} is {noise} years old.", "It is {noise} degrees outside.", "{B} lives {noise} miles away.",
    "The way there took {noise} minutes.", "{B} has {noise} cousins.", "It is day {noise} of the month.",
)  # fmt: skip

# Families whose worked solutions name the operation first ("Multiply: ..."): every second one.
OPERATIONS = {"+": "Add", "-": "Subtract", "*": "Multiply", "/": "Divide"}
