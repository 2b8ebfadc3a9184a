module kubefab.lab/pause

go 1.26.0
