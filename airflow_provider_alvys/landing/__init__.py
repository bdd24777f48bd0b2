"""
Landing: rows of Alvys into the files of a data set.

A data set is a folder tree on any storage that Airflow's ``ObjectStoragePath`` reaches::

    <path>/_pace.json                       times of the last requests
    <path>/<stream>/_cursor-<hash>.json     position of an incremental sync
    <path>/<stream>/_runs/<hash>.json       checkpoint of a task instance
    <path>/<stream>/<date>/<folder>/part-00000.jsonl, …, _manifest.json
"""
