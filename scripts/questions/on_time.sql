-- On-time delivery by lane: from the first pickup of a load to its last delivery.
-- Moments are compared, so the zones of the stops do not matter. The end of an open window is in the year 9999: that is
-- always in time. A stop where nothing is due does not count, and neither does a TONU (truck ordered, not used), which
-- its trip shows even after the release.
SELECT
    origin.address_city || ', ' || origin.address_state AS origin,
    destination.address_city || ', ' || destination.address_state AS destination,
    COUNT(*) AS deliveries,
    COUNT(*) FILTER (
        WHERE destination.arrived_at <= COALESCE(destination.appointment_date, destination.stop_window_end)
    ) AS on_time
FROM loads
JOIN load_stops AS origin
    ON origin._tenant = loads._tenant AND origin.load_id = loads.id
    AND origin._position = (
        SELECT MIN(stop._position) FROM load_stops AS stop
        WHERE stop._tenant = loads._tenant AND stop.load_id = loads.id AND stop.stop_type = 'Pickup'
    )
JOIN load_stops AS destination
    ON destination._tenant = loads._tenant AND destination.load_id = loads.id
    AND destination._position = (
        SELECT MAX(stop._position) FROM load_stops AS stop
        WHERE stop._tenant = loads._tenant AND stop.load_id = loads.id AND stop.stop_type = 'Delivery'
    )
WHERE
    loads._missing_since IS NULL AND loads.is_deleted IS NOT TRUE
    AND loads.status NOT IN ('Quoted', 'Reserved', 'Admin', 'Cancelled', 'TONU')
    AND COALESCE(loads.load_type, '') <> 'Non-Revenue'
    AND destination.arrived_at IS NOT NULL
    AND COALESCE(destination.appointment_date, destination.stop_window_end) IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM trips
        WHERE trips._tenant = loads._tenant AND trips.load_number = loads.load_number AND trips.status = 'TONU'
        AND trips._missing_since IS NULL AND trips.is_deleted IS NOT TRUE
    )
GROUP BY 1, 2
ORDER BY deliveries DESC, 1, 2
