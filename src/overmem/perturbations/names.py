"""First names that `rename` knows, by gender, so that the pronouns of a problem stay right.

Those of `wordmath`, and the common ones of English word problems. Left out: names for both genders
(Alex, Jordan), and most that are also words, places or months (Will, Charlotte, April).
"""

from __future__ import annotations

FEMALE: tuple[str, ...] = (
    "Ana", "Eva", "Mia", "Zoe", "Ida", "Amy", "Liv", "Uma", "Fay", "Joy", "Dot", "Pia", "Mary", "Anna",
    "Emma", "Emily", "Sarah", "Jessica", "Jennifer", "Lisa", "Laura", "Julia", "Maria", "Olivia", "Sophia",
    "Isabella", "Hannah", "Rachel", "Rebecca", "Megan", "Samantha", "Amanda", "Melissa", "Michelle",
    "Stephanie", "Nicole", "Elizabeth", "Katherine", "Kate", "Katie", "Susan", "Linda", "Karen", "Nancy",
    "Betty", "Helen", "Alice", "Martha", "Janet", "Claire", "Diana", "Wendy", "Tina", "Tanya", "Natalie",
    "Vanessa", "Marie", "Jenny", "Jane", "Judy", "Lucy", "Lily", "Ella", "Chloe", "Abigail", "Bella",
    "Clara", "Ellen", "Erica", "Gina", "Kelly", "Maya", "Nina", "Nora", "Priya", "Rosa", "Sandra", "Sophie",
    "Valerie", "Amelia", "Ava", "Carla", "Cindy", "Elena", "Fatima", "Leila", "Mei", "Jill", "Sally",
    "Haley", "Jenna", "Annie", "Brenda", "Julie", "Beth", "Tiffany", "Sara", "Carol", "Carrie", "Faye",
    "Sofia", "Carly", "Madeline", "Paige", "Anne", "Mandy", "Ann", "Angela", "Stacy", "Janice", "Brittany",
    "Ashley", "Donna", "Carmen", "Joan", "Diane", "Susie", "Kendra", "Debby", "Melanie", "Dorothy", "Kylie",
    "Erin", "Becky", "Jasmine", "Barbara", "Gretchen", "Andrea", "Carolyn", "Tara", "Maggie", "Sheila",
    "Rita", "Molly", "Kayla", "Patricia", "Elsa", "Gwen", "Marissa", "Polly", "Christina", "Greta", "Marta",
    "Tonya", "Cheryl", "Cynthia", "Pam", "Shelly", "Alyssa", "Lola", "Lauren", "Bethany", "Pauline",
    "Lydia", "Layla", "Veronica", "Paula", "Danielle", "Phoebe", "Christine", "Gloria", "Beatrice", "Katy",
    "Josie", "Lori", "Naomi", "Brianna", "Heather", "Leah", "Tabitha", "Bonnie", "Wanda", "Teresa",
    "Alison", "Betsy", "Isabel", "Louise", "Alicia", "Stella", "Miriam", "Tammy", "Ruth", "Allison",
    "Peggy", "Eliza", "Catherine", "Elise", "Audrey", "Kimberly", "Suzanne",
)  # fmt: skip
MALE: tuple[str, ...] = (
    "Tom", "Ben", "Max", "Sam", "Leo", "Kai", "Jon", "Raj", "Ned", "Gus", "Hal", "Rex", "John", "James",
    "Robert", "Michael", "David", "Daniel", "Matthew", "Andrew", "Joseph", "Joshua", "Ryan", "Brian",
    "Kevin", "Eric", "Steven", "Stephen", "Peter", "Paul", "George", "Edward", "Henry", "Jack", "Jacob",
    "Jake", "Adam", "Aaron", "Nathan", "Noah", "Ethan", "Liam", "Lucas", "Luke", "Oliver", "Thomas",
    "Timothy", "Tim", "Tommy", "Billy", "Bob", "Bobby", "Carl", "Carlos", "Dave", "Derek", "Donald", "Doug",
    "Fred", "Gary", "Greg", "Harry", "Ivan", "Jeff", "Jeremy", "Jerry", "Jim", "Jimmy", "Joe", "Johnny",
    "Juan", "Keith", "Kenny", "Kyle", "Larry", "Marcus", "Martin", "Mike", "Nick", "Oscar", "Patrick",
    "Phil", "Richard", "Ron", "Roger", "Scott", "Simon", "Ted", "Tony", "Victor", "Walter", "Zach", "Omar",
    "Ahmed", "Hugo", "Mark", "Bill", "Frank", "Jason", "Josh", "Steve", "Matt", "Danny", "Randy", "Dan",
    "Andy", "Ali", "Zachary", "Paco", "Rick", "Allan", "Marco", "Bryan", "Charlie", "Gerald", "Toby",
    "Brandon", "Joey", "William", "Justin", "Ken", "Philip", "Pete", "Lewis", "Sean", "Anthony", "Tyler",
    "Barry", "Samuel", "Bruce", "Trevor", "Ian", "Alan", "Jerome", "Bert", "Mario", "Jared", "Albert",
    "Caleb", "Arthur", "Brad", "Calvin", "Nate", "Javier", "Connor", "Charles", "Theo", "Ralph", "Neil",
    "Stan", "Hank", "Vincent", "Seth", "Zack", "Travis", "Benny", "Jonathan", "Boris", "Arnold", "Tobias",
    "Brendan", "Dexter", "Todd", "Joel", "Olaf", "Shane", "Jorge", "Malcolm", "Raymond", "Cody", "Dylan",
    "Trent", "Pedro", "Roy", "Harold", "Xavier", "Dennis", "Archie", "Alexander", "Kenneth", "Gordon",
    "Logan", "Dante", "Freddy", "Allen", "Lloyd", "Jamal", "Howard", "Felix", "Craig", "Milo", "Colin",
    "Teddy", "Zeke",
)  # fmt: skip
