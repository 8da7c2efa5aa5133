-- Format 3 of the index adds the positions of Locations, the labels in use, the beginnings of sources, and the types of
-- contained resources; reindexing.py brings older rows up to it. What is empty has nothing to bring up.
update index_format set format = 3 where not exists (select from resource);
