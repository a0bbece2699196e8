"""Comments of answers: what they are about and how they are meant.  Pure, and bounded whatever the text.

words          text to words: case and accents folded, punctuation kept as breaks
stems          word stems and phrases, matched by their beginnings
languages      a file a language: its function words, negations, words of praise and blame, stems of the five themes
themes         which themes a comment touches, several or none
sentiment      positive, neutral or negative, by the words of praise and blame and what negates them
regression     the same learnt from a team's own answers: hashed n-grams, logistic regression
validation     how often what was learnt is right about comments that it was not learnt from
judging        all of this together: a comment becomes a Judgement
"""
