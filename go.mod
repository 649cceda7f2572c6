module restante

go 1.26
