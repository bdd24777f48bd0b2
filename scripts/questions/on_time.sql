-- On-time delivery by lane: deliveries that reached the last stop by its appointment or before its window closed.
SELECT
    origin.address_city || ', ' || origin.address_state AS origin,
    destination.address_city || ', ' || destination.address_state AS destination,
    COUNT(*) AS deliveries,
    COUNT(*) FILTER (
        WHERE destination.stop_window_end_is_open IS TRUE
        OR destination.arrived_at <= COALESCE(destination.appointment_date, destination.stop_window_end)
    ) AS on_time
FROM loads
JOIN load_stops AS origin
    ON origin._tenant = loads._tenant AND origin.load_id = loads.id AND origin._is_first IS TRUE
JOIN load_stops AS destination
    ON destination._tenant = loads._tenant AND destination.load_id = loads.id AND destination._is_last IS TRUE
WHERE destination.arrived_at IS NOT NULL AND loads.is_deleted IS NOT TRUE AND loads._missing_since IS NULL
GROUP BY 1, 2
ORDER BY deliveries DESC, 1, 2
