"""
Rows into files, so that what is there is whole.

A data set is a folder tree on any storage that Airflow's ``ObjectStoragePath`` reaches::

    <path>/_pace.json                       when the last requests were made
    <path>/<stream>/_cursor-<hash>.json     where the last whole run ended
    <path>/<stream>/_runs/<hash>.json       what a task instance reads, the same over its retries
    <path>/<stream>/<date>/<folder>/part-00000.jsonl, …, _manifest.json
"""
