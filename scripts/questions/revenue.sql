-- Revenue by currency, month and customer: the rates of the loads, in the month of the delivery at its place.
-- A load without a delivery, such as a TONU (truck ordered, not used), counts in the month of its invoice.
SELECT
    loads.customer_rate_currency AS currency,
    COALESCE(
        strftime(
            '%Y-%m',
            loads.delivered_at,
            COALESCE(
                delivery.appointment_date_offset,
                delivery.stop_window_begin_offset,
                delivery.stop_window_end_offset,
                delivery.arrived_at_offset,
                '+00:00'
            )
        ),
        substr(loads.invoiced_at, 1, 7)
    ) AS month,
    loads.customer_id,
    loads.customer_name AS customer,
    COUNT(*) AS loads,
    -- In SQLite amounts are texts, and the sum of fractions is a float: whole cents stay exact.
    SUM(CAST(ROUND(100 * loads.customer_rate_amount) AS INTEGER)) AS cents
FROM loads
LEFT JOIN load_stops AS delivery
    ON delivery._tenant = loads._tenant AND delivery.load_id = loads.id
    AND delivery._position = (
        SELECT MAX(stop._position) FROM load_stops AS stop
        WHERE stop._tenant = loads._tenant AND stop.load_id = loads.id AND stop.stop_type = 'Delivery'
    )
WHERE
    loads._missing_since IS NULL AND loads.is_deleted IS NOT TRUE
    AND loads.status NOT IN ('Quoted', 'Reserved', 'Admin', 'Cancelled')
    AND COALESCE(loads.load_type, '') <> 'Non-Revenue'
    AND (loads.delivered_at IS NOT NULL OR loads.invoiced_at IS NOT NULL)
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 4, 3
