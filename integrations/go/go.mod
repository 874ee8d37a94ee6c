module example.com/mimic/integrations/go

go 1.19
